#include <heed/nn/transformer_layer.h>

#include <heed/core/error.h>

namespace heed::nn {

namespace {

MultiHeadAttentionConfig self_attention(const TransformerLayerConfig& c, bool causal) {
  MultiHeadAttentionConfig a = c.attention;
  a.causal = causal;
  a.default_dropout = c.dropout;
  return a;
}

MultiHeadAttentionConfig cross_attention(const TransformerLayerConfig& c) {
  MultiHeadAttentionConfig a = self_attention(c, false);
  a.variant = c.cross_variant;
  a.rope.reset();
  return a;
}

// norm(x + dropout(y)), fused as far as possible.
Tensor add_and_norm(const LayerNorm& norm, const Dropout& dropout, const Tensor& y,
                    const Tensor& x) {
  if (dropout.is_active()) return norm.forward(dropout.forward_add(y, x));
  return norm.forward_add(y, x);
}

// Cross-attention's mask: the memory's keys, the target's queries.
Mask cross_mask(const Mask& mask, const Mask& memory_mask) {
  const AttentionTerms& t = mask.terms();
  Mask m = memory_mask;
  if (mask.has_query_padding()) m = m & Mask::query_padding(t.query_begin, t.query_end);
  return m.with_finite_padding();
}

}  // namespace

TransformerEncoderLayer::TransformerEncoderLayer(const TransformerLayerConfig& c,
                                                 SharedParameters* shared)
    : self_attn(c.width, self_attention(c, c.attention.causal), shared),
      feed_forward(c.width, c.hidden, c.activation, c.dropout, c.bias),
      norm1(c.width, c.norm_eps, c.bias),
      norm2(c.width, c.norm_eps, c.bias),
      dropout_(c.dropout),
      norm_first_(c.norm_first) {
  register_module("self_attn", self_attn);
  register_module("", feed_forward);
  register_module("norm1", norm1);
  register_module("norm2", norm2);
  register_module("dropout", dropout_);
}

template <class SelfAttention>
Tensor TransformerEncoderLayer::run(const Tensor& input, const Mask& mask,
                                    SelfAttention&& self_attention) const {
  // Not left to the attention: NaN in a padded row would reach weights through the residual path.
  Tensor x = mask.finite_tokens(input, 1);  // [B, T, d]
  Mask inner = mask.with_finite_padding();
  auto attend = [&](const Tensor& h) { return self_attention(h, inner); };
  if (norm_first_) {
    x = dropout_.forward_add(attend(norm1.forward(x)), x);                   // [B, T, d]
    return dropout_.forward_add(feed_forward.forward(norm2.forward(x)), x);  // [B, T, d]
  }
  x = add_and_norm(norm1, dropout_, attend(x), x);                   // [B, T, d]
  return add_and_norm(norm2, dropout_, feed_forward.forward(x), x);  // [B, T, d]
}

Tensor TransformerEncoderLayer::forward(const Tensor& x, const Mask& mask) const {
  auto scope = enter();
  return run(x, mask, [&](const Tensor& h, const Mask& m) { return self_attn.forward(h, m); });
}

std::unique_ptr<DecodeState> TransformerEncoderLayer::new_state(int64_t batch,
                                                                int64_t capacity) const {
  return self_attn.new_state(batch, capacity);
}

Tensor TransformerEncoderLayer::step(const Tensor& x, const Mask& mask, DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  return run(x, mask, [&](const Tensor& h, const Mask& m) { return self_attn.step(h, m, state); });
}

std::string TransformerEncoderLayer::type_name() const {
  return str("TransformerEncoderLayer(", norm_first_ ? "pre-norm" : "post-norm", ")");
}

TransformerDecoderLayer::TransformerDecoderLayer(const TransformerLayerConfig& c,
                                                 SharedParameters* shared,
                                                 SharedParameters* shared_cross)
    : self_attn(c.width, self_attention(c, true), shared),
      multihead_attn(c.width, cross_attention(c), shared_cross),
      feed_forward(c.width, c.hidden, c.activation, c.dropout, c.bias),
      norm1(c.width, c.norm_eps, c.bias),
      norm2(c.width, c.norm_eps, c.bias),
      norm3(c.width, c.norm_eps, c.bias),
      dropout_(c.dropout),
      norm_first_(c.norm_first) {
  Traits cross = multihead_attn.attention().traits();
  if (!cross.cross)
    throw ValueError(str(multihead_attn.attention().name(), ": cross-attention is not supported",
                         cross.why.count("cross") ? ": " + cross.why.at("cross") : ""));
  register_module("self_attn", self_attn);
  register_module("multihead_attn", multihead_attn);
  register_module("", feed_forward);
  register_module("norm1", norm1);
  register_module("norm2", norm2);
  register_module("norm3", norm3);
  register_module("dropout", dropout_);
}

template <class SelfAttention, class CrossAttention>
Tensor TransformerDecoderLayer::run(const Tensor& input, const Mask& mask, const Mask& memory_mask,
                                    SelfAttention&& self_attention,
                                    CrossAttention&& cross_attention) const {
  Tensor x = mask.finite_tokens(input, 1);  // [B, T, d]
  Mask inner = mask.with_finite_padding(), outer = cross_mask(mask, memory_mask);
  auto attend = [&](const Tensor& h) { return self_attention(h, inner); };
  auto cross = [&](const Tensor& h) { return cross_attention(h, outer); };
  if (norm_first_) {
    x = dropout_.forward_add(attend(norm1.forward(x)), x);                   // [B, T, d]
    x = dropout_.forward_add(cross(norm2.forward(x)), x);                    // [B, T, d]
    return dropout_.forward_add(feed_forward.forward(norm3.forward(x)), x);  // [B, T, d]
  }
  x = add_and_norm(norm1, dropout_, attend(x), x);                   // [B, T, d]
  x = add_and_norm(norm2, dropout_, cross(x), x);                    // [B, T, d]
  return add_and_norm(norm3, dropout_, feed_forward.forward(x), x);  // [B, T, d]
}

Tensor TransformerDecoderLayer::forward(const Tensor& x, const Tensor& memory, const Mask& mask,
                                        const Mask& memory_mask) const {
  auto scope = enter();
  Tensor source = memory_mask.finite_keys(memory, 1);  // [B, S, d]
  return run(
      x, mask, memory_mask, [&](const Tensor& h, const Mask& m) { return self_attn.forward(h, m); },
      [&](const Tensor& h, const Mask& m) { return multihead_attn.forward(h, source, source, m); });
}

std::unique_ptr<DecodeState> TransformerDecoderLayer::new_state(int64_t batch,
                                                                int64_t capacity) const {
  return self_attn.new_state(batch, capacity);
}

std::unique_ptr<DecodeState> TransformerDecoderLayer::new_cross_state(
    const Tensor& memory, const Mask& memory_mask) const {
  std::unique_ptr<DecodeState> state = multihead_attn.new_state(memory.dim(0), memory.dim(1));
  multihead_attn.absorb(memory, memory, memory_mask, *state);
  return state;
}

Tensor TransformerDecoderLayer::step(const Tensor& x, const Mask& mask, DecodeState& self,
                                     DecodeState& cross) const {
  NoGrad guard;
  auto scope = enter();
  return run(
      x, mask, {}, [&](const Tensor& h, const Mask& m) { return self_attn.step(h, m, self); },
      [&](const Tensor& h, const Mask& m) { return multihead_attn.step_cross(h, m, cross); });
}

std::string TransformerDecoderLayer::type_name() const {
  return str("TransformerDecoderLayer(", norm_first_ ? "pre-norm" : "post-norm", ")");
}

}  // namespace heed::nn
