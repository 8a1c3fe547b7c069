#include "classifier.h"

#include <algorithm>
#include <filesystem>

#include <heed/core/error.h>
#include <heed/models/config_json.h>
#include <heed/train/checkpoint.h>
#include <heed/train/weights.h>

#include "../common/saved_model.h"

namespace heed::examples {

Classifier::Classifier(const Config& config) {
  if (const auto* vit = std::get_if<models::ViTConfig>(&config))
    model_ = std::make_unique<models::ViT>(*vit);
  else model_ = std::make_unique<models::ResNet>(std::get<models::ResNetConfig>(config));
}

nn::Module& Classifier::module() const {
  return std::visit([](const auto& model) -> nn::Module& { return *model; }, model_);
}

Tensor Classifier::forward(const Tensor& images) const {
  return std::visit([&](const auto& model) { return model->forward(images); }, model_);
}

Tensor Classifier::input(const Array& images) const {
  return on_device(images).to(module().parameters().front().dtype());
}

std::string Classifier::to_json() const {
  return std::visit([](const auto& model) { return models::to_json(model->config()); }, model_);
}

const models::ViT* Classifier::vit() const {
  const auto* model = std::get_if<std::unique_ptr<models::ViT>>(&model_);
  return model ? model->get() : nullptr;
}

const models::ResNet* Classifier::resnet() const {
  const auto* model = std::get_if<std::unique_ptr<models::ResNet>>(&model_);
  return model ? model->get() : nullptr;
}

std::string Classifier::attention() const {
  if (vit()) return describe(vit()->encoder().layer(0).self_attn);
  int64_t slots = resnet()->slots();
  if (slots == 0) return "none";
  return str(resnet()->config().non_local.attention, " in ", slots,
             slots == 1 ? " slot" : " slots");
}

Classifier::Config classifier_from_json(std::string_view json) {
  std::string model = models::config_model(json);
  if (model == "vit") return models::vit_from_json(json);
  if (model == "resnet") return models::resnet_from_json(json);
  throw ValueError(str("config: a checkpoint of model 'vit' or 'resnet' expected, this is one of '",
                       model, "'"));
}

void check_classifier_json(std::string_view json) { classifier_from_json(json); }

std::vector<std::string> resnet_presets_for(const std::string& arch) {
  std::vector<std::string> out;
  for (const std::string& name : models::resnet_presets())
    if ((models::resnet_preset(name).axes == 3) == (arch == "resnet3d")) out.push_back(name);
  return out;
}

std::string listed(std::vector<int64_t> numbers) {
  return to_string(models::ConfigValue(&numbers));
}

namespace {
models::ViTConfig vit_config(const ClassifySettings& s, const data::ImageInfo& info) {
  if (info.of_clips())
    throw ValueError(str("--arch vit: pictures expected, the data are clips of shape ", info.shape,
                         "; --arch resnet3d takes them"));
  models::ViTConfig c;
  c.stack.layer = s.layer;
  c.stack.layer.hidden = 0;
  c.stack.layer.activation = "gelu";
  c.stack.layer.norm_first = true;
  c.stack.layer.norm_eps = 1e-6;
  c.stack.layer.attention.variant = s.attention;
  c.stack.recompute = s.recompute;
  models::set_preset_sizes(c, s.preset);
  if (s.heads > 0) c.stack.layer.attention.heads = s.heads;
  c.image_height = info.height(), c.image_width = info.width(), c.channels = info.channels();
  c.classes = static_cast<int64_t>(info.class_names.size());
  c.pooling = s.pooling, c.positions = s.positions;
  c.patch = s.patch;
  if (c.patch == 0) {  // the largest size up to a seventh of the shorter side that divides both
    int64_t side = std::min(c.image_height, c.image_width);
    for (int64_t p = 1; p <= std::max<int64_t>(1, side / 7); ++p)
      if (c.image_height % p == 0 && c.image_width % p == 0) c.patch = p;
  }
  return c;
}

models::ResNetConfig resnet_config(const ClassifySettings& s, const data::ImageInfo& info) {
  bool clips = s.arch == "resnet3d";
  if (clips != info.of_clips())
    throw ValueError(str("--arch ", s.arch, ": ", clips ? "clips" : "pictures",
                         " expected, the data are ", info.of_clips() ? "clips" : "pictures",
                         " of shape ", info.shape, "; --arch ",
                         clips ? "resnet or vit" : "resnet3d", " takes them"));
  models::ResNetConfig c;
  models::set_preset_sizes(c, s.preset);
  if (!s.blocks.empty()) c.blocks = s.blocks;
  if (s.width > 0) c.width = s.width;
  if (!s.strides.empty()) c.strides = s.strides;
  if (c.blocks.size() != c.strides.size()) {
    std::vector<int64_t> halving(c.blocks.size(), 2);
    halving[0] = 1;
    throw ValueError(str("--blocks ", listed(c.blocks), " has ", c.blocks.size(), ", --strides ",
                         listed(c.strides), " has ", c.strides.size(),
                         ": one number a stage expected of both, such as --strides ",
                         listed(halving), " with these blocks"));
  }
  c.channels = info.channels();
  c.classes = static_cast<int64_t>(info.class_names.size());
  c.slots = s.slots;
  c.non_local.attention = s.attention;
  c.non_local.heads = std::max<int64_t>(1, s.heads);
  c.non_local.subsample = s.subsample;
  c.image_height = info.height(), c.image_width = info.width();
  c.frames = info.of_clips() ? info.frames() : 0;
  c.time_kernel = s.time_kernel;
  c.recompute = s.recompute;
  return c;
}
}  // namespace

Classifier::Config classifier_config(const ClassifySettings& s, const data::ImageInfo& info) {
  if (s.arch == "vit") return vit_config(s, info);
  return resnet_config(s, info);
}

std::string init_from(Classifier& classifier, const std::string& path) {
  bool file = std::filesystem::is_regular_file(path);
  std::string weights =
      file ? path : train::find_checkpoint(path, /*best=*/true) + "/weights.safetensors";
  nn::StateDict state = train::read_state(weights);
  int64_t rows = -1;  // of the head, which torchvision's vision transformer calls heads.head
  for (const std::string& head : {classifier.head(), std::string("heads.head")})
    if (auto found = state.find(head + ".weight");
        found != state.end() && found->second.rank() == 2)
      rows = found->second.dim(0);
  train::LoadOptions options;
  nn::StateDict own = classifier.module().state_dict();
  for (const auto& [name, value] : own)
    if (name == classifier.head() + ".weight" && value.dim(0) != rows)
      options.skip.push_back(classifier.head());
  // Blocks in slots that the file does not have start as the identity.
  if (const models::ResNet* resnet = classifier.resnet())
    for (int64_t i = 0; i < resnet->slots(); ++i) {
      std::string slot = str("slots.", i);
      if (std::none_of(state.begin(), state.end(),
                       [&](const auto& entry) { return entry.first.starts_with(slot + "."); }))
        options.skip.push_back(slot);
    }
  if (file) train::load_pytorch(classifier.module(), weights, options);
  else train::load_weights(classifier.module(), weights, options);
  std::string kept;
  for (const std::string& part : options.skip) kept += (kept.empty() ? "" : " and ") + part;
  return "weights from " + weights + (kept.empty() ? "" : ", but not " + kept);
}

SavedClassifier load_classifier(const std::string& path) {
  SavedClassifier saved;
  saved.directory = train::find_checkpoint(path, /*best=*/true);
  saved.model = make_model<Classifier>(saved.directory, classifier_from_json);
  saved.info = data::load_image_info(saved.directory + "/" + kImages);
  nn::Module& module = saved.model->module();
  train::load_checkpoint(saved.directory, module);
  module.eval();
  int64_t classes = saved.model->vit() ? saved.model->vit()->config().classes
                                       : saved.model->resnet()->config().classes;
  if (classes != static_cast<int64_t>(saved.info.class_names.size()))
    throw ValueError(str(saved.directory, ": ", kImages, " names ", saved.info.class_names.size(),
                         " classes, the model has ", classes));
  return saved;
}

}  // namespace heed::examples
