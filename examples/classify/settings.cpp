#include "settings.h"

#include <heed/data/augment.h>

#include "../common/checks.h"
#include "../common/layer_settings.h"
#include "classifier.h"

namespace heed::examples {

Settings data_settings(DataSettings& s) {
  constexpr bool kMayChange = false;
  return {
      {"data", &s.data,
       "a directory, or files with commas between them (of IDX images and labels, of CIFAR any); "
       "without it generated shapes (clips for resnet3d)",
       kMayChange},
      {"data-format", &s.data_format,
       "idx, cifar, folder, shapes or clips; without it: as the files look"},
      {"size", &s.size, "side of the pictures of a folder or a generator; 0 = as they come"},
      {"channels", &s.channels, "of the pictures of a folder: 1 (grey) or 3; 0 = 3"},
      {"count", &s.count,
       "pictures that a generator draws for training; for the test a tenth of them, at least 4"},
      {"valid", &s.valid, "training pictures held out for validation; 0 = a tenth"},
      {"test-every", &s.test_every,
       "where there are no test files: every so many-th picture is for the test; 0 = none"},
  };
}

Settings test_settings(DataSettings& s) {
  Settings settings = data_settings(s);
  std::erase_if(settings, [](const Setting& each) {
    return each.name == "size" || each.name == "channels" || each.name == "valid";
  });
  return settings;
}

Settings settings_of(ClassifySettings& s) {
  Settings first = {
      {"batch", &s.batch, "pictures a batch"},
      {"augment", &s.augment, "shift, crop, flip, erase with commas between them, or none"},
      {"arch", &s.arch, "resnet, resnet3d (for clips) or vit"},
      {"preset", &s.preset,
       "resnet20 or resnet18; resnet3d; of vit nano, tiny, small, base or large"},
      {"attention", &s.attention, "name:key=value,..; of a resnet in its slots"},
      {"slots", &s.slots, "resnet: blocks of attention, from the deepest; 0 = none"},
      {"blocks", &s.blocks, "resnet: residual blocks of each stage, as 3,3,3; none: the preset's"},
      {"width", &s.width, "resnet: channels of the first stage; 0 = the preset's"},
      {"strides", &s.strides,
       "resnet: of each stage, as 1,2,2 (without it the preset's); 1,1,1 keeps the map's size"},
      {"time-kernel", &s.time_kernel,
       "resnet3d: 3, or 1: each frame is looked at alone, only attention mixes them"},
      {"subsample", &s.subsample, "resnet: keys and values are the largest of such windows"},
      {"heads", &s.heads, "of the attention; 0 = 1 of a resnet, the preset's of a vit"},
      {"patch", &s.patch, "vit: side of a patch; 0 = at most a seventh of the picture's side"},
      {"positions", &s.positions, "vit: learned, sinusoidal, rope or none"},
      {"pooling", &s.pooling, "vit: class_token or mean"},
  };
  Settings last = {
      {"init-from", &s.init_from,
       "a run, a checkpoint, or a file in torchvision's layout; other classes: all but the head"},
      {"optimizer", &s.optimizer, "sgd (with momentum 0.9, Nesterov's) or adamw"},
      {"weight-decay", &s.weight_decay,
       "adamw: of matrices and convolutions; sgd: of all parameters, as is usual for it"},
      {"label-smoothing", &s.label_smoothing, "part of the target given to all classes"},
  };
  Settings all = joined({data_settings(s.data), first, precision_settings(s.layer, s.precision),
                         layer_settings(s.layer, s.recompute), last, settings_of(s.training)});
  for (Setting& each : all) {
    if (each.name == "warmup")
      each.help +=
          "; without it at most a tenth of all steps, if --epochs or --steps says how many";
    if (each.name == "seed")
      each.help = "of weights, batches, augmentation, dropout, generated and held-out pictures";
  }
  return all;
}

// Generated pictures are simple, and their question needs many steps rather than a large network:
// a small one, small batches and AdamW learn it in two minutes.
void set_generated_defaults(ClassifySettings& s) {
  s.batch = 32;
  s.augment = "none";
  s.optimizer = "adamw";
  s.weight_decay = 0.05;
  s.training.lr = 0.003;
  s.training.warmup = 100;
  s.training.epochs = 12;
  if (s.arch == "vit") {
    s.training.lr = 0.001;
    return;
  }
  s.blocks = {1, 1, 1};
  s.width = 8;
  s.slots = 2;
  s.heads = 2;
  s.attention = "efficient";
}

ClassifySettings defaults_for(const std::string& arch, bool generated) {
  require_one_of("--arch", arch, {"resnet", "resnet3d", "vit"});
  ClassifySettings s;
  s.arch = arch;
  bool vit = arch == "vit";
  s.slots = vit ? 0 : 1;
  s.preset = vit ? "nano" : arch == "resnet3d" ? "resnet3d" : "resnet20";
  s.attention = vit ? "dense" : "embedded_gaussian";
  s.optimizer = vit ? "adamw" : "sgd";
  s.weight_decay = vit ? 0.05 : 5e-4;
  s.training.lr = vit ? 0.002 : 0.1;
  s.training.warmup = 200;
  s.training.epochs = 20;
  if (generated) set_generated_defaults(s);
  return s;
}

bool generated(const DataSettings& s) { return s.data.empty(); }

void check(const DataSettings& s, const Settings& settings) {
  std::vector<std::string> formats = {"idx", "cifar", "folder", "shapes", "clips"};
  if (!s.data_format.empty()) require_one_of("--data-format", s.data_format, formats);
  bool draws = s.data_format == "shapes" || s.data_format == "clips";
  require(!draws || s.data.empty(),
          str("--data ", s.data, ": --data-format ", s.data_format, " draws its pictures itself"));
  require(draws || s.data_format.empty() || !s.data.empty(),
          str("--data-format ", s.data_format, " needs --data"));
  require_in_range({{"--size", s.size, 0, 4096},
                    {"--count", s.count, 10, 10'000'000},
                    {"--valid", s.valid, 0},
                    {"--test-every", s.test_every, 0, 1'000'000}});
  require(generated(s) || !given(settings, "count"),
          str("--count ", s.count, ": of generated pictures, these are those of ", s.data));
  require(!generated(s) || (s.test_every == 0 && s.channels == 0),
          "--test-every and --channels are of pictures from files, these are generated");
  require(s.test_every != 1, "--test-every 1: at least 2 expected, or 0 for none");
  require(s.channels == 0 || s.channels == 1 || s.channels == 3,
          str("--channels ", s.channels, ": 1 or 3 expected"));
}

namespace {
void check(const ClassifySettings& s, const Settings& settings) {
  check(s.data, settings);
  bool vit = s.arch == "vit";
  std::vector<std::string> presets = vit ? models::vit_presets() : resnet_presets_for(s.arch);
  require_one_of("--preset", s.preset, presets);
  require_one_of("--optimizer", s.optimizer, {"sgd", "adamw"});
  check_precision(s.precision);
  try {
    data::parse_augmentation(s.augment);
  } catch (const ValueError& error) {
    throw ValueError(str("--augment ", s.augment, ": ", error.what()));
  }
  require_in_range({{"--batch", s.batch, 1, 1'000'000},
                    {"--slots", s.slots, 0, 1000},
                    {"--width", s.width, 0, 4096},
                    {"--subsample", s.subsample, 1, 64},
                    {"--heads", s.heads, 0, 1024},
                    {"--patch", s.patch, 0, 4096}});
  if (vit) {
    require(s.slots == 0 && s.strides.empty() && s.blocks.empty() && s.width == 0 &&
                s.subsample == 1 && s.time_kernel == 3,
            "--slots, --blocks, --width, --strides, --subsample and --time-kernel are of --arch "
            "resnet and resnet3d, this is vit");
    require_one_of("--positions", s.positions, {"learned", "sinusoidal", "rope", "none"});
    require_one_of("--pooling", s.pooling, {"class_token", "mean"});
  } else {
    ClassifySettings none;
    require(s.time_kernel == 3 || (s.time_kernel == 1 && s.arch == "resnet3d"),
            str("--time-kernel ", s.time_kernel, ": 3, or 1 with --arch resnet3d, expected"));
    require(s.patch == 0 && s.positions == none.positions && s.pooling == none.pooling,
            str("--patch, --positions and --pooling are of --arch vit, this is ", s.arch));
    require(
        s.layer.dropout == 0 && !s.layer.attention.dropout && !s.layer.attention.qk_norm,
        str("--dropout, --attention-dropout and --qk-norm are of --arch vit, this is ", s.arch));
    for (int64_t blocks : s.blocks)
      require(blocks >= 1 && blocks <= 100, str("--blocks ", blocks, ": 1 to 100 expected"));
    for (int64_t stride : s.strides)
      require(stride >= 1 && stride <= 16, str("--strides ", stride, ": 1 to 16 expected"));
  }
  check_dropout(s.layer);
  require_probability({{"--label-smoothing", s.label_smoothing}});
  require_not_negative({{"--weight-decay", s.weight_decay}});
  check(s.training);
}
}  // namespace

void complete(ClassifySettings& s, const Settings& settings) {
  ClassifySettings base = defaults_for(s.arch, generated(s.data));
  if (given(settings, "preset")) base.blocks.clear(), base.width = 0;
  complete(s, settings, base, check_classifier_json);
  s.default_warmup = !s.training.resume && !given(settings, "warmup");
  if (s.augment == "default")  // what earlier runs say
    s.augment = defaults_for(s.arch, generated(s.data)).augment;
  bool of_slots =
      given(settings, "attention") || given(settings, "heads") || given(settings, "subsample");
  require(s.arch == "vit" || s.slots > 0 || !of_slots,
          "--attention, --heads and --subsample are of what is in --slots, and there are none");
  if (generated(s.data) && s.data.data_format.empty())
    s.data.data_format = s.arch == "resnet3d" ? "clips" : "shapes";
  check(s, settings);
}

}  // namespace heed::examples
