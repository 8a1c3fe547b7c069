#include <heed/models/attention_maps.h>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/core/error.h>

namespace heed::models {

namespace {
bool has_weights(const nn::MultiHeadAttention& attention) {
  return attention.attention().traits().weights;
}
}  // namespace

// Walks the layers as forward does, and asks each attention for its weights on the way.
AttentionMaps attention_maps(const Transformer& model, const Tensor& source, const Lengths& lengths,
                             const Tensor& target_in) {
  if (model.is_training())
    throw ValueError("attention_maps: the model is in training mode: call eval() before");
  NoGrad guard;
  AttentionMaps maps;
  bool norm_first = model.config().norm_first;

  nn::Mask mask = nn::Mask::padding(lengths);
  Tensor x = model.embed_source(source);  // [B, S, d]
  for (int64_t i = 0; i < model.encoder().size(); ++i) {
    const nn::TransformerEncoderLayer& layer = model.encoder().layer(i);
    Tensor in = norm_first ? layer.norm1.forward(x) : x;  // [B, S, d]
    if (has_weights(layer.self_attn)) maps.encoder.push_back(layer.self_attn.weights(in, in, mask));
    x = layer.forward(x, mask);  // [B, S, d]
  }

  Memory memory = model.encode(source, lengths);
  Tensor y = model.embed_target(target_in);  // [B, T, d]
  for (int64_t i = 0; i < model.decoder().size(); ++i) {
    const nn::TransformerDecoderLayer& layer = model.decoder().layer(i);
    Tensor in = norm_first ? layer.norm1.forward(y) : y;  // [B, T, d]
    if (has_weights(layer.self_attn)) maps.decoder.push_back(layer.self_attn.weights(in, in));
    if (has_weights(layer.multihead_attn)) {
      Tensor mixed = layer.self_attn.forward(in);  // [B, T, d]
      Tensor query = norm_first ? layer.norm2.forward(y + mixed)
                                : layer.norm1.forward_add(mixed, y);  // [B, T, d]
      maps.cross.push_back(layer.multihead_attn.weights(query, memory.states, memory.mask));
    }
    y = layer.forward(y, memory.states, {}, memory.mask);  // [B, T, d]
  }
  return maps;
}

}  // namespace heed::models
