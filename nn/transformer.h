// Stacks of Transformer layers (Vaswani et al. 2017); the layers are in transformer_layer.h.
//
//   nn::TransformerLayerConfig layer{.width = 128, .hidden = 256, .attention = {.heads = 4}};
//   nn::TransformerEncoder encoder({.layer = layer, .layers = 4});
//   nn::TransformerDecoder decoder({.layer = layer, .layers = 4});
//   Tensor memory = encoder.forward(x, nn::Mask::padding(lengths));  // [B, S, 128]
//   auto state = decoder.new_state(memory, nn::Mask::key_padding(lengths));
//   Tensor y = decoder.step(token, state);                           // [B, 1, 128]
#pragma once

#include <memory>
#include <vector>

#include <heed/nn/position_bias.h>
#include <heed/nn/stack_state.h>
#include <heed/nn/transformer_layer.h>

namespace heed::nn {

// Positions as a term added to the scores of self-attention. Absolute positions are the model's;
// RoPE is layer.attention.rope.
enum class PositionTerm { none, alibi, relative };

struct TransformerStackConfig {
  TransformerLayerConfig layer{};  // of each layer
  int64_t layers = 6;
  bool final_norm = true;  // PyTorch's nn.Transformer has one with pre-norm and post-norm alike
  PositionTerm positions = PositionTerm::none;
  AlibiSlopes alibi = AlibiSlopes::power_of_two_interpolated;
  bool recompute = false;  // each layer in backward, to keep less memory (autograd/recompute.h)
};

// What both kinds of stack share: the way through the layers, the positions that enter as masks,
// and the final norm.
class TransformerStack : public Module {
 public:
  const TransformerStackConfig& config() const { return config_; }

 protected:
  TransformerStack(const TransformerStackConfig& config, bool causal);
  void register_rest();  // after the layers, so that names are in PyTorch's order
  // x [B, T, d] through all layers, as f(i, h, mask) computes layer i, and the final norm. For the
  // classes below alone: the templates are in the source.
  template <class Layers, class F>
  Tensor run_layers(const Layers& layers, const Tensor& x, const Mask& mask, F&& f) const;
  // f(inputs), computed again in backward where the config says so.
  template <class F>
  Tensor maybe_recomputed(F&& f, const std::vector<Tensor>& inputs) const;

  TransformerStackConfig config_;
  SharedParameters shared_, shared_cross_;

 private:
  Mask with_positions(const Mask& mask) const;
  std::unique_ptr<RelativeBias> position_bias_;
  std::unique_ptr<LayerNorm> norm_;
  Tensor slopes_;  // [H], of ALiBi
};

// Submodules: layers.0, layers.1, .., norm. With layer.attention.causal it is a decoder-only stack
// and can step.
class TransformerEncoder : public TransformerStack {
 public:
  explicit TransformerEncoder(const TransformerStackConfig& config);
  Tensor forward(const Tensor& x, const Mask& mask = {}) const;  // [B, T, d] -> [B, T, d]
  StackState new_state(int64_t batch, int64_t capacity = 0) const;
  Tensor step(const Tensor& x, StackState& state,
              const Mask& mask = {}) const;  // new tokens [B, T, d]
  TransformerEncoderLayer& layer(int64_t i) { return *layers_.at(static_cast<size_t>(i)); }
  const TransformerEncoderLayer& layer(int64_t i) const {
    return *layers_.at(static_cast<size_t>(i));
  }
  int64_t size() const { return static_cast<int64_t>(layers_.size()); }
  std::string type_name() const override;

 private:
  std::vector<std::unique_ptr<TransformerEncoderLayer>> layers_;
};

// Self-attention is always causal. `mask` belongs to the target, `memory_mask` to the memory: its
// key padding (cross-attention takes query padding from `mask`).
class TransformerDecoder : public TransformerStack {
 public:
  explicit TransformerDecoder(const TransformerStackConfig& config);
  Tensor forward(const Tensor& x, const Tensor& memory, const Mask& mask = {},
                 const Mask& memory_mask = {}) const;
  // memory [B, S, d] is taken in by every layer's cross-attention.
  StackState new_state(const Tensor& memory, const Mask& memory_mask = {},
                       int64_t capacity = 0) const;
  Tensor step(const Tensor& x, StackState& state,
              const Mask& mask = {}) const;  // new tokens [B, T, d]
  TransformerDecoderLayer& layer(int64_t i) { return *layers_.at(static_cast<size_t>(i)); }
  const TransformerDecoderLayer& layer(int64_t i) const {
    return *layers_.at(static_cast<size_t>(i));
  }
  int64_t size() const { return static_cast<int64_t>(layers_.size()); }
  std::string type_name() const override;

 private:
  std::vector<std::unique_ptr<TransformerDecoderLayer>> layers_;
};

}  // namespace heed::nn
