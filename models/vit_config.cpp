// Presets of the vision transformer, and its settings as JSON.
#include <heed/core/error.h>
#include <heed/models/layer_config_json.h>
#include <heed/models/vit.h>

namespace heed::models {

namespace {
ConfigFields fields(ViTConfig& c) {
  nn::TransformerLayerConfig& layer = c.stack.layer;
  return {{"image_height", &c.image_height},
          {"image_width", &c.image_width},
          {"channels", &c.channels},
          {"patch", &c.patch},
          {"classes", &c.classes},
          {"pooling", &c.pooling},
          {"positions", &c.positions},
          {"rope_base", &c.rope_base},
          {"width", &layer.width},
          {"heads", &layer.attention.heads},
          {"layers", &c.stack.layers},
          {"hidden", &layer.hidden},
          {"dropout", &layer.dropout},
          {"attention_dropout", &layer.attention.dropout},
          {"attention", &layer.attention.variant},
          {"activation", &layer.activation},
          {"norm_first", &layer.norm_first},
          {"final_norm", &c.stack.final_norm},
          {"recompute", &c.stack.recompute}};
}
}  // namespace

void set_preset_sizes(ViTConfig& config, const std::string& name) {
  auto set = [&](int64_t width, int64_t heads, int64_t layers) {
    config.stack.layer.width = width;
    config.stack.layer.attention.heads = heads;
    config.stack.layers = layers;
  };
  // base and large: Dosovitskiy et al. 2021, table 1; tiny and small: Touvron et al. 2021
  // (arXiv 2012.12877), table 1
  if (name == "nano") set(64, 4, 4);
  else if (name == "tiny") set(192, 3, 12);
  else if (name == "small") set(384, 6, 12);
  else if (name == "base") set(768, 12, 12);
  else if (name == "large") set(1024, 16, 24);
  else throw ValueError(str("preset '", name, "': nano, tiny, small, base or large expected"));
}

ViTConfig vit_preset(const std::string& name) {
  ViTConfig c;
  set_preset_sizes(c, name);
  return c;
}

const std::vector<std::string>& vit_presets() {
  static const std::vector<std::string> names = {"nano", "tiny", "small", "base", "large"};
  return names;
}

std::string to_json(const ViTConfig& config) {
  ViTConfig c = config;
  require_kept("ViT", c.stack);
  return write_config("vit", fields(c), later_fields(c.stack.layer));
}

ViTConfig vit_from_json(std::string_view json) {
  ViTConfig c;
  read_config(json, "vit", fields(c), later_fields(c.stack.layer));
  return c;
}

}  // namespace heed::models
