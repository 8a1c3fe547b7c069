// One layer of a Transformer's encoder or decoder. Names and order as in PyTorch:
//
//   post-norm:  x = norm(x + dropout(sublayer(x)))        pre-norm:  x = x +
//   dropout(sublayer(norm(x)))
#pragma once

#include <heed/nn/dropout.h>
#include <heed/nn/feed_forward.h>
#include <heed/nn/multi_head_attention.h>
#include <heed/nn/norm.h>
#include <heed/nn/position_bias.h>

namespace heed::nn {

enum class PositionTerm { none, rope, alibi, relative };

struct TransformerConfig {
  int64_t width = 512;
  int64_t heads = 8;
  int64_t kv_heads = 0;   // 0: as many as heads
  int64_t hidden = 2048;  // of the feed-forward network
  int64_t layers = 6;
  double dropout = 0.1;  // feed-forward and residuals
  // On the weights; empty: `dropout` where the variant has such dropout.
  std::optional<double> attention_dropout{};
  std::string activation = "relu";
  bool norm_first = false;  // pre-norm
  bool final_norm = true;   // of a stack: nn.Transformer has one in both forms
  double norm_eps = 1e-5;
  bool bias = true;
  bool causal = false;              // encoder; a decoder's self-attention always is
  std::string attention = "dense";  // self-attention's variant
  std::string cross_attention = "dense";
  int64_t max_length = 0;                       // for variants that need it
  PositionTerm positions = PositionTerm::none;  // of self-attention; absolute ones are the model's
  AlibiSlopes alibi = AlibiSlopes::power_of_two_interpolated;
  RopeOptions rope{};
  bool checkpoint = false;  // drop activations inside layers, compute them again
};

// In PyTorch's packed names: self_attn, linear1, linear2, norm1, norm2.
class TransformerEncoderLayer : public Module {
 public:
  explicit TransformerEncoderLayer(const TransformerConfig& config,
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
  Tensor run(Tensor x, SelfAttention&& attend) const;
  Dropout dropout_;
  bool norm_first_;
};

// self_attn, multihead_attn (to the memory), linear1, linear2, norm1, norm2, norm3.
class TransformerDecoderLayer : public Module {
 public:
  explicit TransformerDecoderLayer(const TransformerConfig& config,
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
  Tensor run(Tensor x, SelfAttention&& attend, CrossAttention&& attend_memory) const;
  Dropout dropout_;
  bool norm_first_;
};

}  // namespace heed::nn
