// Presets of the residual networks, and their settings as JSON.
#include <heed/core/error.h>
#include <heed/models/config_json.h>
#include <heed/models/resnet.h>

namespace heed::models {

namespace {
ConfigFields fields(ResNetConfig& c) {
  return {{"axes", &c.axes},
          {"channels", &c.channels},
          {"classes", &c.classes},
          {"blocks", &c.blocks},
          {"width", &c.width},
          {"strides", &c.strides},
          {"stem", &c.stem},
          {"slots", &c.slots},
          {"attention", &c.non_local.attention},
          {"heads", &c.non_local.heads},
          {"inner_channels", &c.non_local.inner_channels},
          {"subsample", &c.non_local.subsample},
          {"batch_norm", &c.non_local.batch_norm},
          {"attention_bias", &c.non_local.bias},
          {"image_height", &c.image_height},
          {"image_width", &c.image_width},
          {"frames", &c.frames},
          {"recompute", &c.recompute}};
}
ConfigFields later_fields(ResNetConfig& c) { return {{"time_kernel", &c.time_kernel}}; }
}  // namespace

void set_preset_sizes(ResNetConfig& config, const std::string& name) {
  using Sizes = std::vector<int64_t>;
  auto set = [&](int64_t axes, int64_t width, const Sizes& blocks, const Sizes& strides,
                 const char* stem) {
    config.axes = axes;
    config.width = width;
    config.blocks = blocks;
    config.strides = strides;
    config.stem = stem;
  };
  if (name == "resnet20") set(2, 16, {3, 3, 3}, {1, 2, 2}, "cifar");
  else if (name == "resnet18") set(2, 64, {2, 2, 2, 2}, {1, 2, 2, 2}, "imagenet");
  else if (name == "resnet3d") set(3, 16, {1, 1, 1}, {1, 2, 2}, "cifar");
  else throw ValueError(str("preset '", name, "': resnet20, resnet18 or resnet3d expected"));
}

ResNetConfig resnet_preset(const std::string& name) {
  ResNetConfig c;
  set_preset_sizes(c, name);
  return c;
}

const std::vector<std::string>& resnet_presets() {
  static const std::vector<std::string> names = {"resnet20", "resnet18", "resnet3d"};
  return names;
}

std::string to_json(const ResNetConfig& config) {
  ResNetConfig c = config;
  if (c.non_local.scale != nn::NonLocalConfig().scale)
    throw ValueError("ResNet: config.json keeps no scale of the slots");
  return write_config("resnet", fields(c), later_fields(c));
}

ResNetConfig resnet_from_json(std::string_view json) {
  ResNetConfig c;
  read_config(json, "resnet", fields(c), later_fields(c));
  return c;
}

}  // namespace heed::models
