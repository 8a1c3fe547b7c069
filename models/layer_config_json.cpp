#include <heed/models/layer_config_json.h>

#include <heed/core/error.h>

namespace heed::models {

ConfigFields later_fields(nn::TransformerLayerConfig& layer) {
  return {{"kv_heads", &layer.attention.kv_heads},
          {"head_dim", &layer.attention.head_dim},
          {"qk_norm", &layer.attention.qk_norm},
          {"attention_bias", &layer.attention.bias},
          {"bias", &layer.bias},
          {"norm_eps", &layer.norm_eps}};
}

void require_kept(const std::string& model, const nn::TransformerLayerConfig& layer) {
  const nn::MultiHeadAttentionConfig& a = layer.attention;
  if (a.scale || a.rope || a.key_width != 0 || a.value_width != 0)
    throw ValueError(model + ": config.json keeps no scale, rope, key_width or value_width");
}

void require_kept(const std::string& model, const nn::TransformerStackConfig& stack) {
  require_kept(model, stack.layer);
  if (stack.positions != nn::PositionTerm::none)
    throw ValueError(model + ": config.json keeps no positions of the stack");
}

}  // namespace heed::models
