// Presets of the translation Transformer, and its settings as JSON.
#include <heed/core/error.h>
#include <heed/models/config_json.h>
#include <heed/models/transformer.h>

namespace heed::models {

namespace {
ConfigFields fields(TransformerConfig& c) {
  return {{"vocab", &c.vocab},
          {"width", &c.width},
          {"heads", &c.heads},
          {"hidden", &c.hidden},
          {"encoder_layers", &c.encoder_layers},
          {"decoder_layers", &c.decoder_layers},
          {"tied", &c.tied},
          {"norm_first", &c.norm_first},
          {"dropout", &c.dropout},
          {"attention_dropout", &c.attention_dropout},
          {"activation", &c.activation},
          {"attention", &c.attention},
          {"decoder_attention", &c.decoder_attention},
          {"cross_attention", &c.cross_attention},
          {"max_length", &c.max_length},
          {"checkpoint", &c.checkpoint},
          {"pad", &c.pad},
          {"bos", &c.bos},
          {"eos", &c.eos}};
}
}  // namespace

const std::vector<std::string>& transformer_presets() {
  static const std::vector<std::string> names = {"tiny", "base", "big"};
  return names;
}

TransformerConfig transformer_preset(const std::string& name) {
  TransformerConfig c;  // base: Vaswani et al. 2017, table 3
  if (name == "base") return c;
  if (name == "big") {
    c.width = 1024;
    c.heads = 16;
    c.hidden = 4096;
    c.dropout = 0.3;
    return c;
  }
  if (name == "tiny") {
    c.width = 128;
    c.heads = 4;
    c.hidden = 256;
    c.encoder_layers = c.decoder_layers = 4;
    return c;
  }
  throw ValueError(str("preset '", name, "': tiny, base or big expected"));
}

std::string to_json(const TransformerConfig& config) {
  TransformerConfig c = config;
  return write_config("transformer", fields(c));
}

TransformerConfig transformer_from_json(std::string_view json) {
  TransformerConfig c;
  read_config(json, "transformer", fields(c));
  return c;
}

}  // namespace heed::models
