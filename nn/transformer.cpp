#include <heed/nn/transformer.h>

#include <heed/autograd/recompute.h>
#include <heed/core/error.h>

namespace heed::nn {

TransformerStack::TransformerStack(const TransformerStackConfig& config, bool causal)
    : config_(config) {
  if (config.layers < 1)
    throw ValueError(str("Transformer: at least one layer expected, got ", config.layers));
  if (config.positions == PositionTerm::relative)
    position_bias_ = std::make_unique<RelativeBias>(config.layer.attention.heads, !causal);
  if (config.positions == PositionTerm::alibi)
    slopes_ = alibi_slopes(config.layer.attention.heads, config.alibi, DType::f64);  // [H]
  if (config.final_norm)
    norm_ =
        std::make_unique<LayerNorm>(config.layer.width, config.layer.norm_eps, config.layer.bias);
}

void TransformerStack::register_rest() {
  if (slopes_.defined()) register_buffer("alibi_slopes", slopes_, false);
  if (norm_) register_module("norm", *norm_);
  if (position_bias_) register_module("position_bias", *position_bias_);
}

Mask TransformerStack::with_positions(const Mask& mask) const {
  if (slopes_.defined()) return mask & Mask::alibi(slopes_);
  if (position_bias_) return mask & position_bias_->term();
  return mask;
}

template <class Layers, class F>
Tensor TransformerStack::run_layers(const Layers& layers, const Tensor& x, const Mask& mask,
                                    F&& f) const {
  Tensor h = x;  // [B, T, d]
  Mask inner = with_positions(mask);
  for (size_t i = 0; i < layers.size(); ++i) {
    h = f(i, h, inner);                   // [B, T, d]
    inner = inner.with_finite_padding();  // the first layer made it so
  }
  return norm_ ? norm_->forward(h) : h;
}

template <class F>
Tensor TransformerStack::maybe_recomputed(F&& f, const std::vector<Tensor>& inputs) const {
  return config_.recompute && grad_enabled() ? recompute(f, inputs) : f(inputs);
}

TransformerEncoder::TransformerEncoder(const TransformerStackConfig& config)
    : TransformerStack(config, config.layer.attention.causal) {
  for (int64_t i = 0; i < config.layers; ++i) {
    layers_.push_back(std::make_unique<TransformerEncoderLayer>(config.layer, &shared_));
    register_module("layers." + std::to_string(i), *layers_.back());
  }
  register_rest();
}

Tensor TransformerEncoder::forward(const Tensor& x, const Mask& mask) const {
  auto scope = enter();
  return run_layers(layers_, x, mask, [&](size_t i, const Tensor& h, const Mask& inner) {
    const TransformerEncoderLayer* layer = layers_[i].get();
    return maybe_recomputed(
        [layer, inner](const std::vector<Tensor>& in) { return layer->forward(in[0], inner); },
        {h});
  });
}

StackState TransformerEncoder::new_state(int64_t batch, int64_t capacity) const {
  if (!config_.layer.attention.causal)
    throw ValueError("TransformerEncoder: only a causal stack decodes step by step");
  StackState state;
  for (const auto& layer : layers_) state.self.push_back(layer->new_state(batch, capacity));
  return state;
}

static void require_layers(size_t got, size_t expected) {
  if (got != expected)
    throw ValueError(str("Transformer: a state of ", got, " layers for a stack of ", expected));
}

Tensor TransformerEncoder::step(const Tensor& x, StackState& state, const Mask& mask) const {
  NoGrad guard;
  auto scope = enter();
  require_layers(state.self.size(), layers_.size());
  return run_layers(layers_, x, mask, [&](size_t i, const Tensor& h, const Mask& inner) {
    return layers_[i]->step(h, inner, *state.self[i]);
  });
}

std::string TransformerEncoder::type_name() const {
  return str("TransformerEncoder(", size(), " layers)");
}

TransformerDecoder::TransformerDecoder(const TransformerStackConfig& config)
    : TransformerStack(config, true) {
  for (int64_t i = 0; i < config.layers; ++i) {
    layers_.push_back(
        std::make_unique<TransformerDecoderLayer>(config.layer, &shared_, &shared_cross_));
    register_module("layers." + std::to_string(i), *layers_.back());
  }
  register_rest();
}

Tensor TransformerDecoder::forward(const Tensor& x, const Tensor& memory, const Mask& mask,
                                   const Mask& memory_mask) const {
  auto scope = enter();
  Tensor source = memory_mask.finite_keys(memory, 1);  // [B, S, d], once for all layers
  Mask outer = memory_mask.with_finite_padding();
  return run_layers(layers_, x, mask, [&](size_t i, const Tensor& h, const Mask& inner) {
    const TransformerDecoderLayer* layer = layers_[i].get();
    return maybe_recomputed(
        [layer, inner, outer](const std::vector<Tensor>& in) {
          return layer->forward(in[0], in[1], inner, outer);
        },
        {h, source});
  });
}

StackState TransformerDecoder::new_state(const Tensor& memory, const Mask& memory_mask,
                                         int64_t capacity) const {
  NoGrad guard;
  Tensor source = memory_mask.finite_keys(memory, 1);  // [B, S, d]
  Mask outer = memory_mask.with_finite_padding();
  StackState state;
  for (const auto& layer : layers_) {
    state.self.push_back(layer->new_state(memory.dim(0), capacity));
    state.cross.push_back(layer->new_cross_state(source, outer));
  }
  return state;
}

Tensor TransformerDecoder::step(const Tensor& x, StackState& state, const Mask& mask) const {
  NoGrad guard;
  auto scope = enter();
  require_layers(state.self.size(), layers_.size());
  require_layers(state.cross.size(), layers_.size());
  return run_layers(layers_, x, mask, [&](size_t i, const Tensor& h, const Mask& inner) {
    return layers_[i]->step(h, inner, *state.self[i], *state.cross[i]);
  });
}

std::string TransformerDecoder::type_name() const {
  return str("TransformerDecoder(", size(), " layers)");
}

}  // namespace heed::nn
