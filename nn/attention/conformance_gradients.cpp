// Derivatives against central differences in float64, for a fixed random cotangent.
#include <algorithm>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/conformance_case.h>

namespace heed::nn::conformance {

namespace {

struct Leaf {
  std::string name;
  Tensor tensor;  // requires a gradient; its memory is its own
};

using Scalar = std::function<Tensor(const std::vector<Leaf>&)>;

// d f / d leaf at up to 48 elements of each leaf.
void compare_derivatives(Case& c, const std::vector<Leaf>& leaves, const Scalar& f, double bound,
                         const std::string& where) {
  constexpr double h = 1e-5;
  std::vector<Tensor> tensors;
  for (const Leaf& leaf : leaves) tensors.push_back(leaf.tensor);
  Tensor y = f(leaves);
  std::vector<Tensor> exact(leaves.size());
  if (y.requires_grad()) exact = grad({y}, tensors, {}, {.allow_unused = true});
  for (size_t i = 0; i < leaves.size(); ++i) {
    const Array& memory = leaves[i].tensor.array();
    std::vector<double> mine(static_cast<size_t>(memory.numel()), 0), analytic, numeric;
    if (exact[i].defined()) mine = exact[i].to_vector();
    double* values = memory.data<double>();
    int64_t stride = std::max<int64_t>(1, memory.numel() / 48) | 1;
    for (int64_t e = 0; e < memory.numel(); e += stride) {
      double before = values[e];
      values[e] = before + h;
      double above = f(leaves).item();
      values[e] = before - h;
      double below = f(leaves).item();
      values[e] = before;
      analytic.push_back(mine[static_cast<size_t>(e)]);
      numeric.push_back((above - below) / (2 * h));
    }
    auto count = static_cast<int64_t>(numeric.size());
    c.close(Tensor::from(analytic, {count}), Tensor::from(numeric, {count}), bound,
            where + ": derivative by " + leaves[i].name);
  }
}

struct GradientSetting {
  std::string name;
  bool causal = false;
  int64_t queries = 5, keys = 5;
  bool padded = false, bias = false;
};

std::vector<GradientSetting> gradient_settings(const Case& c) {
  std::vector<GradientSetting> list;
  for (bool causal : c.forms) {
    std::string form = causal ? "causal" : "self";
    list.push_back({.name = form, .causal = causal});
    if (c.traits.key_padding)
      list.push_back({.name = form + ", padded", .causal = causal, .padded = true});
    if (c.traits.bias) list.push_back({.name = form + ", bias", .causal = causal, .bias = true});
  }
  if (c.has_form(false) && c.traits.cross && !c.traits.shared_qk)
    list.push_back({.name = "cross", .queries = 3, .keys = 5});
  return list;
}

using Use = std::function<void(const std::vector<Leaf>&, const std::function<Tensor()>& forward,
                               const Tensor& cotangent)>;

void with_setting(Case& c, const GradientSetting& s, const Use& use) {
  auto a = c.make(c.config(s.causal, s.keys));
  const AttentionConfig& config = a->config();
  Triple in = c.inputs(config, 2, s.queries, s.keys);
  auto leaf = [](const Tensor& x) { return x.clone().detach().set_requires_grad(true); };
  Tensor q = leaf(in.q), k = c.traits.shared_qk ? q : leaf(in.k), v = leaf(in.v);
  std::vector<Leaf> leaves{{"q", q}, {"v", v}};
  if (!c.traits.shared_qk) leaves.push_back({"k", k});
  for (const auto& [name, p] : a->named_parameters()) leaves.push_back({name, p});
  Mask mask;
  if (s.padded) mask = Mask::padding({s.keys, s.keys - 2});
  if (s.bias) {
    Tensor bias = leaf(c.normal({config.heads, s.queries, s.keys}, 41));
    Tensor table = leaf(c.normal({config.heads, 8}, 42));
    leaves.push_back({"the bias", bias});
    leaves.push_back({"the relative-bias table", table});
    mask = mask & Mask::added(bias) & Mask::relative(table, true, 16);
  }
  AttentionCall call = c.call(mask);
  use(
      leaves, [&] { return a->forward(q, k, v, call); }, c.cotangent(*a, in));
}

void require_exact(const Case& c) {
  if (c.dtype != DType::f64) c.not_applicable("central differences are taken in f64");
  if (c.traits.gradient == GradientKind::surrogate)
    c.not_applicable("traits: the gradient is a surrogate, not the derivative");
}

}  // namespace

void check_gradients(Case& c) {
  require_exact(c);
  for (const GradientSetting& s : gradient_settings(c))
    with_setting(c, s, [&](const auto& leaves, const auto& forward, const Tensor& cotangent) {
      compare_derivatives(
          c, leaves, [&](const auto&) { return sum(forward() * cotangent); }, 1e-6, s.name);
    });
}

// Derivatives of sum_i <u_i, d f / d leaf_i>, which is what a gradient penalty differentiates.
void check_second_derivatives(Case& c) {
  require_exact(c);
  for (const GradientSetting& s : gradient_settings(c)) {
    if (s.padded && s.causal) continue;
    with_setting(c, s, [&](const auto& leaves, const auto& forward, const Tensor& cotangent) {
      std::vector<Tensor> tensors;
      for (const Leaf& leaf : leaves) tensors.push_back(leaf.tensor);
      auto penalty = [&](const auto&) {
        std::vector<Tensor> g =
            grad({forward()}, tensors, {cotangent}, {.create_graph = true, .allow_unused = true});
        Tensor total = Tensor::scalar(0, DType::f64);
        for (size_t i = 0; i < g.size(); ++i)
          if (g[i].defined())
            total = total + sum(g[i] * c.normal(g[i].shape(), 900 + static_cast<uint64_t>(i)));
        return total;
      };
      compare_derivatives(c, leaves, penalty, 1e-6, s.name);
    });
  }
}

}  // namespace heed::nn::conformance
