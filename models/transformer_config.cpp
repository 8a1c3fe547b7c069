// Presets of the translation Transformer, and its settings as JSON.
#include <heed/core/error.h>
#include <heed/models/layer_config_json.h>
#include <heed/models/transformer.h>

namespace heed::models {

namespace {
ConfigFields fields(TransformerConfig& c) {
  return {{"vocab", &c.vocab},
          {"width", &c.layer.width},
          {"heads", &c.layer.attention.heads},
          {"hidden", &c.layer.hidden},
          {"encoder_layers", &c.encoder_layers},
          {"decoder_layers", &c.decoder_layers},
          {"tied", &c.tied},
          {"norm_first", &c.layer.norm_first},
          {"dropout", &c.layer.dropout},
          {"attention_dropout", &c.layer.attention.dropout},
          {"activation", &c.layer.activation},
          {"attention", &c.layer.attention.variant},
          {"decoder_attention", &c.decoder_variant},
          {"cross_attention", &c.layer.cross_variant},
          {"max_length", &c.layer.attention.max_length},
          {"recompute", &c.recompute},
          {"pad", &c.pad},
          {"bos", &c.bos},
          {"eos", &c.eos}};
}
}  // namespace

const std::vector<std::string>& transformer_presets() {
  static const std::vector<std::string> names = {"tiny", "base", "big"};
  return names;
}

void set_preset_sizes(TransformerConfig& config, const std::string& name) {
  auto set = [&](int64_t width, int64_t heads, int64_t hidden, int64_t layers) {
    config.layer.width = width;
    config.layer.attention.heads = heads;
    config.layer.hidden = hidden;
    config.encoder_layers = config.decoder_layers = layers;
  };
  // base and big: Vaswani et al. 2017, table 3
  if (name == "tiny") set(128, 4, 256, 4);
  else if (name == "base") set(512, 8, 2048, 6);
  else if (name == "big") set(1024, 16, 4096, 6);
  else throw ValueError(str("preset '", name, "': tiny, base or big expected"));
}

TransformerConfig transformer_preset(const std::string& name) {
  TransformerConfig c;
  set_preset_sizes(c, name);
  if (name == "big") c.layer.dropout = 0.3;
  return c;
}

std::string to_json(const TransformerConfig& config) {
  TransformerConfig c = config;
  require_kept("Transformer", c.layer);
  return write_config("transformer", fields(c), later_fields(c.layer));
}

TransformerConfig transformer_from_json(std::string_view json) {
  TransformerConfig c;
  read_config(json, "transformer", fields(c), later_fields(c.layer), {{"checkpoint", "recompute"}});
  return c;
}

}  // namespace heed::models
