#include <heed/nn/non_local.h>

#include <algorithm>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/pool.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/nn/heads.h>
#include <heed/nn/init.h>

namespace heed::nn {

namespace {

int64_t inner_of(int64_t channels, const NonLocalConfig& c) {
  if (channels < 1)
    throw ValueError(str("NonLocalBlock: channels must be positive, got ", channels));
  if (c.inner_channels < 0 || c.heads < 1 || c.subsample < 1)
    throw ValueError(str("NonLocalBlock: heads and subsample must be positive, got ", c.heads,
                         " and ", c.subsample, ", inner_channels ", c.inner_channels));
  if (c.axes < 1 || c.axes > 3)
    throw ValueError(str("NonLocalBlock: one to three axes expected, got ", c.axes));
  const int64_t inner =
      c.inner_channels > 0 ? c.inner_channels : std::max<int64_t>(1, channels / 2);
  if (inner % c.heads != 0)
    throw ValueError(
        str("NonLocalBlock: ", c.heads, " heads do not divide the ", inner, " inner channels"));
  return inner;
}

std::unique_ptr<Attention> make_variant(int64_t channels, int64_t inner, const NonLocalConfig& c,
                                        SharedParameters* shared) {
  SharedParameters own;
  AttentionConfig config;
  config.heads = config.kv_heads = c.heads;
  config.head_dim = config.value_dim = inner / c.heads;
  config.max_length = c.max_length;
  auto made = make_attention(c.attention, config, shared ? *shared : own);
  if (!made->traits().raw_qk) return made;
  if (channels % c.heads != 0)
    throw ValueError(str("NonLocalBlock: ", c.heads, " heads do not divide the ", channels,
                         " channels, which are the queries and keys of ", made->name()));
  config.head_dim = channels / c.heads;
  return make_attention(c.attention, config, shared ? *shared : own);
}

Tensor flattened(const Tensor& x) {  // [B, C, ...] -> [B, C, N]
  return x.reshape({x.dim(0), x.dim(1), x.numel() / std::max<int64_t>(1, x.dim(0) * x.dim(1))});
}

// Of a map's positions, which stand in its columns: [B, C, N] -> [B, N, out].
Tensor project_tokens(const Linear& linear, const Tensor& flat) {
  Tensor y = matmul(flat.transpose(1, 2), linear.weight.transpose(0, 1));  // [B, N, out]
  return linear.bias.defined() ? y + linear.bias : y;
}

// The same, channels first: [B, C, N] -> [B, out, N].
Tensor project_channels(const Linear& linear, const Tensor& flat) {
  Tensor y = matmul(linear.weight, flat);  // [B, out, N]
  return linear.bias.defined() ? y + linear.bias.unsqueeze(1) : y;
}

// Of sub-sampling, for a map of these sizes.
Shape window_of(const Shape& map, int64_t factor) {
  Shape window;
  for (int i = 0; i < map.rank(); ++i) {
    const bool kept = map.rank() == 3 && i == 0;
    window.push_back(kept ? 1 : std::min(factor, map[i]));
  }
  return window;
}

Tensor max_pool(const Tensor& x, int64_t factor) {
  const Shape window = window_of(Shape(x.shape().begin() + 2, x.rank() - 2), factor);
  if (x.rank() == 3) return max_pool1d(x, window);
  if (x.rank() == 4) return max_pool2d(x, window);
  return max_pool3d(x, window);
}

}  // namespace

NonLocalBlock::NonLocalBlock(int64_t channels, const NonLocalConfig& config,
                             SharedParameters* shared)
    : NonLocalBlock(channels, config, inner_of(channels, config), shared) {}

NonLocalBlock::NonLocalBlock(int64_t channels, const NonLocalConfig& c, int64_t inner,
                             SharedParameters* shared)
    : g(channels, inner, c.bias),
      w(inner, channels, c.bias),
      config_(c),
      channels_(channels),
      attention_(make_variant(channels, inner, c, shared)) {
  const Traits traits = attention_->traits();
  if (c.subsample > 1 && (!traits.cross || traits.shared_qk))
    throw ValueError(str("NonLocalBlock: ", attention_->name(), " needs keys at the positions of ",
                         "its queries, which sub-sampling takes away"));
  if (!traits.raw_qk) {
    theta = std::make_unique<Linear>(channels, inner, c.bias);
    register_module("theta", *theta);
    if (!traits.shared_qk) {
      phi = std::make_unique<Linear>(channels, inner, c.bias);
      register_module("phi", *phi);
    }
  }
  register_module("g", g);
  register_module("w", w);
  register_module("attention", *attention_);
  if (c.batch_norm) {
    norm = std::make_unique<BatchNorm>(channels);
    init::zeros_(norm->weight);
    register_module("norm", *norm);
  } else {
    init::zeros_(w.weight);
    if (w.bias.defined()) init::zeros_(w.bias);
  }
}

void NonLocalBlock::check(const Tensor& x) const {
  if (x.rank() < 3 || x.rank() > 5 || x.dim(1) != channels_)
    throw ShapeError(str("NonLocalBlock: a map [B, ", channels_,
                         ", ...] with one to three spatial axes expected, got ", x.shape()));
}

Tensor NonLocalBlock::sampled(const Linear* projection, const Tensor& x) const {
  if (config_.subsample == 1) {
    const Tensor flat = flattened(x);
    const Tensor tokens = projection ? project_tokens(*projection, flat) : flat.transpose(1, 2);
    return split_heads(tokens, config_.heads);  // [B, H, N, channels / H]
  }
  Tensor y = x;
  if (projection) {
    Shape shape = x.shape();
    shape[1] = projection->out();
    y = project_channels(*projection, flattened(x)).reshape(shape);
  }
  y = flattened(max_pool(y, config_.subsample));  // [B, channels, S]
  const int64_t heads = config_.heads;
  return y.reshape({y.dim(0), heads, y.dim(1) / heads, y.dim(2)}).transpose(2, 3);
}

NonLocalBlock::Heads NonLocalBlock::project(const Tensor& x, bool values) const {
  const Tensor flat = flattened(x);
  const Tensor tokens = theta ? project_tokens(*theta, flat) : flat.transpose(1, 2);
  Heads h;
  h.q = split_heads(tokens, config_.heads);  // [B, H, N, D]
  const bool same = attention_->traits().shared_qk || (!theta && config_.subsample == 1);
  h.k = same ? h.q : sampled(phi.get(), x);  // [B, H, S, D]
  if (values) h.v = sampled(&g, x);          // [B, H, S, E]
  return h;
}

AttentionCall NonLocalBlock::make_call(const Heads& heads) const {
  AttentionCall call;
  const Traits traits = attention_->traits();
  if (traits.scale) call.scale = config_.scale;
  if (traits.stochastic)
    call.random =
        default_generator().take(heads.q.dim(0) * config_.heads * heads.q.dim(2) * heads.k.dim(2));
  return call;
}

Tensor NonLocalBlock::forward(const Tensor& x) const {
  auto scope = enter();
  check(x);
  const Heads h = project(x, true);
  Tensor y = attention_->forward(h.q, h.k, h.v, make_call(h));    // [B, H, N, E]
  y = merge_heads(y);                                             // [B, N, inner]
  y = project_channels(w, y.transpose(1, 2)).reshape(x.shape());  // [B, C, ...]
  return x + (norm ? norm->forward(y) : y);
}

Tensor NonLocalBlock::weights(const Tensor& x, const std::vector<int64_t>& positions) const {
  auto scope = enter();
  check(x);
  const Heads h = project(x, false);
  return attention_->weights(h.q, h.k, make_call(h), positions);  // [B, H, R, S]
}

Shape NonLocalBlock::key_extents(const Shape& map) const {
  Shape extents = map;
  const Shape window = window_of(map, config_.subsample);
  for (int i = 0; i < map.rank(); ++i) extents[i] = window[i] > 0 ? map[i] / window[i] : 0;
  return extents;
}

std::vector<PyTorchName> NonLocalBlock::pytorch_names() const {
  const int axes = static_cast<int>(config_.axes);
  const std::string pooled = config_.subsample > 1 ? ".0" : "";
  std::vector<PyTorchName> names = {{"theta", "theta", axes},
                                    {"phi", "phi" + pooled, axes},
                                    {"g", "g" + pooled, axes},
                                    {"w", norm ? "W.0" : "W", axes},
                                    {"norm", "W.1"}};
  if (attention_->name() == std::string("concatenation"))
    names.push_back({"attention", "concat_project.0", 2});  // over pairs, on any map
  return names;
}

std::string NonLocalBlock::type_name() const {
  std::string sampling = config_.subsample > 1 ? str(", subsample ", config_.subsample) : "";
  return str("NonLocalBlock(", channels_, ", inner ", g.out(), ", heads ", config_.heads, sampling,
             norm ? ")" : ", no batch norm)");
}

}  // namespace heed::nn
