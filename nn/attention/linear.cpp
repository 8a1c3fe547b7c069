#include <heed/nn/attention/linear.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/core/plan.h>

namespace heed::nn {

namespace {
const std::vector<std::string> kMaps{"elu", "relu", "relu2", "exp", "taylor2", "cosformer"};
}

LinearAttention::LinearAttention(AttentionConfig c)
    : FeatureAttention(c, c.options.number("eps", 1e-6, 0)) {
  std::string map = c.options.choice("map", "elu", kMaps);
  size_t at = 0;
  while (kMaps[at] != map) ++at;
  map_ = static_cast<Map>(at);
  if (map_ != Map::cosformer) return;
  max_length_ = c.options.integer("max_length", c.max_length, 1);
  if (max_length_ < 1)
    throw ValueError(
        "linear: map=cosformer needs max_length >= every length (option max_length or "
        "AttentionConfig::max_length)");
}

int64_t LinearAttention::features() const {
  int64_t d = config().head_dim;
  if (map_ == Map::taylor2) return 1 + d + d * d;
  return map_ == Map::cosformer ? 2 * d : d;
}

std::shared_ptr<FeatureAttention> LinearAttention::equal_copy() const {
  return std::make_shared<LinearAttention>(config());
}

Traits LinearAttention::traits() const {
  Traits t = FeatureAttention::traits();
  // eps takes a share of each row, and with the other maps a row without any feature is 0.
  t.row_stochastic = eps() == 0 && (map_ == Map::elu || map_ == Map::exp || map_ == Map::taylor2);
  if (map_ == Map::cosformer) {
    t.cross = t.permutation = false;
    t.why["cross"] = "cosformer weighs by distance, and the tokens of two sequences have none";
  }
  return t;
}

// relu(x) [cos, sin](pi p / 2 M): inner products are weighted by cos(pi (i - j) / 2 M) >= 0.
Tensor LinearAttention::cosformer_features(const Tensor& x, const Lengths& first) const {
  int64_t n = x.dim(2), rows = first.size(), end = n + first.max();
  if (std::max(n, end) > max_length_)
    throw ValueError(str("linear: map=cosformer with max_length ", max_length_, " got ",
                         std::max(n, end), " tokens; max_length must be >= every length"));
  std::vector<double> angle;
  for (int64_t p : first.values())
    for (int64_t t = 0; t < n; ++t)
      angle.push_back(M_PI_2 * static_cast<double>(p + t) / static_cast<double>(max_length_));
  Tensor a(plan_on(Array::from(angle, {rows, 1, n, 1}), x.device()));  // [B or 1, 1, N, 1]
  Tensor active = relu(x);                                             // [B, heads, N, D]
  return concat({active * cos(a).to(x.dtype()), active * sin(a).to(x.dtype())}, 3);
}

Features LinearAttention::map(const Tensor& x, const Lengths& first) const {
  switch (map_) {
    case Map::elu:  // elu(x) + 1, in a form that keeps the precision of small features
      return {relu(x) + exp(clamp(x, lowest(x.dtype()), 0)), {}};
    case Map::relu: return {relu(x), {}};
    case Map::relu2: return {square(relu(x)), {}};
    case Map::exp: return exponential_features(x);
    case Map::taylor2: {
      int64_t b = x.dim(0), h = x.dim(1), n = x.dim(2), d = x.dim(3);
      Tensor pairs = x.unsqueeze(4) * (x * M_SQRT1_2).unsqueeze(3);  // [B, heads, N, D, D]
      return {concat({x.new_ones({b, h, n, 1}), x, pairs.reshape({b, h, n, d * d})}, 3), {}};
    }
    case Map::cosformer: return {cosformer_features(x, first), {}};
  }
  return {};
}

Features LinearAttention::query_features(const Tensor& q, const AttentionCall& call,
                                         const Lengths& first) const {
  return map(call.scale ? q * scale_of(call) : q, first);
}

Features LinearAttention::key_features(const Tensor& k, const AttentionCall&,
                                       const Lengths& first) const {
  return map(k, first);
}

int64_t LinearAttention::map_activations(int64_t tokens) const {
  int64_t d = config().head_dim;
  switch (map_) {
    case Map::relu: return 0;
    case Map::exp: return 2 * tokens;  // indices of the largest features, in i64
    default: return tokens * d;
  }
}

}  // namespace heed::nn
