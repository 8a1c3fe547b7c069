// Everything that `classify train` can be told.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <heed/nn/transformer_layer.h>

#include "../common/training.h"

namespace heed::examples {

// Which pictures there are.
struct DataSettings {
  std::string data;         // a directory, or files with commas between them
  std::string data_format;  // idx, cifar, folder, shapes or clips; empty: as the files look
  int64_t size = 0;         // side of pictures of folders and generators; 0: as they come
  int64_t channels = 0;     // of pictures of folders: 1 or 3; 0: 3
  int64_t count = 10000;    // generated training pictures; a tenth of that for validation and test
  int64_t valid = 0;        // held out for validation; 0: a tenth of the training pictures
  int64_t test_every = 0;   // without test files: every n-th picture is a test picture
  int64_t most_bytes = 0;   // that pictures in memory take; not a flag; 0: as the reader chooses
};

struct ClassifySettings {
  DataSettings data;
  int64_t batch = 128;
  std::string augment = "shift";
  // Model.
  std::string arch = "resnet", preset, attention;
  int64_t time_kernel = 3;
  std::vector<int64_t> blocks, strides;         // of a ResNet; empty: the preset's
  int64_t width = 0;                            // of a ResNet's first stage; 0: the preset's
  int64_t slots = 0, heads = 0, subsample = 1;  // a ResNet's, and of what is in them
  int64_t patch = 0;                            // of a ViT, as the next two
  std::string positions = "learned", pooling = "class_token";
  nn::TransformerLayerConfig layer{.dropout = 0};
  bool recompute = false;
  std::string precision = "f32";
  std::string init_from;
  // Training.
  std::string optimizer;
  double weight_decay = -1, label_smoothing = 0;
  TrainingSettings training{.keep_last = 1, .out = "classify-run"};
  // A new run without --warmup, which is then at most a tenth of all steps.
  bool default_warmup = false;
};

Settings data_settings(DataSettings& s);
// Those of them that say what the test pictures are, for `eval`. The model knows their size.
Settings test_settings(DataSettings& s);
Settings settings_of(ClassifySettings& s);
// Sizes, optimizer and what else depends on the architecture and on whether the pictures are
// generated ones. ValueError: no such architecture.
ClassifySettings defaults_for(const std::string& arch, bool generated);

// Fills in defaults, or with `resume` what the run's last checkpoint says, and checks all of it.
// `settings` are those of `s`, with what the command line gave marked. ValueError names the flag.
void complete(ClassifySettings& s, const Settings& settings);

bool generated(const DataSettings& s);
// `settings` are those of `s`, with what the command line gave marked.
void check(const DataSettings& s, const Settings& settings);

}  // namespace heed::examples
