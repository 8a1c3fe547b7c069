// One layer of a Transformer encoder or decoder, with PyTorch's names and order:
//
//   post-norm (default)      x = norm(x + dropout(sublayer(x)))
//   pre-norm (norm_first)    x = x + dropout(sublayer(norm(x)))
#pragma once

#include <heed/nn/dropout.h>
#include <heed/nn/feed_forward.h>
#include <heed/nn/multi_head_attention.h>
#include <heed/nn/norm.h>

namespace heed::nn {

struct TransformerLayerConfig {
  int64_t width = 512;
  int64_t hidden = 2048;  // of the feed-forward network
  double dropout = 0.1;   // feed-forward and residuals
  std::string activation = "relu";
  bool norm_first = false;  // pre-norm
  double norm_eps = 1e-5;
  bool bias = true;  // of the feed-forward network and the norms
  // Of the self-attention. Its default_dropout is the layer's `dropout`. A decoder's self-attention
  // is causal whatever `causal` says; its cross-attention has the same settings except for the
  // variant, and no RoPE.
  MultiHeadAttentionConfig attention{};
  std::string cross_variant = "dense";
};

// Submodules, named as in PyTorch: self_attn, linear1, linear2, norm1, norm2.
class TransformerEncoderLayer : public Module {
 public:
  explicit TransformerEncoderLayer(const TransformerLayerConfig& config,
                                   SharedParameters* shared = nullptr);
  Tensor forward(const Tensor& x, const Mask& mask = {}) const;  // [B, T, d] -> [B, T, d]
  std::unique_ptr<DecodeState> new_state(int64_t batch, int64_t capacity) const;
  Tensor step(const Tensor& x, const Mask& mask, DecodeState& state) const;
  std::string type_name() const override;

  MultiHeadAttention self_attn;
  FeedForward feed_forward;
  LayerNorm norm1, norm2;

 private:
  template <class SelfAttention>
  Tensor run(const Tensor& input, const Mask& mask, SelfAttention&& self_attention) const;
  Dropout dropout_;
  bool norm_first_;
};

// Submodules: self_attn, multihead_attn (to the memory), linear1, linear2, norm1, norm2, norm3.
class TransformerDecoderLayer : public Module {
 public:
  explicit TransformerDecoderLayer(const TransformerLayerConfig& config,
                                   SharedParameters* shared = nullptr,
                                   SharedParameters* shared_cross = nullptr);
  Tensor forward(const Tensor& x, const Tensor& memory, const Mask& mask = {},
                 const Mask& memory_mask = {}) const;
  std::unique_ptr<DecodeState> new_state(int64_t batch, int64_t capacity) const;
  std::unique_ptr<DecodeState> new_cross_state(const Tensor& memory, const Mask& memory_mask) const;
  Tensor step(const Tensor& x, const Mask& mask, DecodeState& self, DecodeState& cross) const;
  std::string type_name() const override;

  MultiHeadAttention self_attn, multihead_attn;
  FeedForward feed_forward;
  LayerNorm norm1, norm2, norm3;

 private:
  template <class SelfAttention, class CrossAttention>
  Tensor run(const Tensor& input, const Mask& mask, const Mask& memory_mask,
             SelfAttention&& self_attention, CrossAttention&& cross_attention) const;
  Dropout dropout_;
  bool norm_first_;
};

}  // namespace heed::nn
