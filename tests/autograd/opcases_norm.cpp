// Normalization over the last axis, with and without weight and bias.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/norm.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

constexpr double kEps = 1e-3;

// in: x, then what follows. `add`: the second is a residual.
Naive norm(bool centered, bool add, bool weighted, bool biased) {
  return [=](const std::vector<Values>& in) {
    Values x = in[0];
    size_t next = 1;
    if (add)
      for (size_t i = 0; i < x.data.size(); ++i) x.data[i] += in[1].data[i];
    next += add;
    const Values* weight = weighted ? &in[next++] : nullptr;
    const Values* bias = biased ? &in[next] : nullptr;
    auto size = static_cast<size_t>(x.shape.dim(-1));
    for (size_t row = 0; row + size <= x.data.size() && size > 0; row += size) {
      double mean = 0, square = 0;
      for (size_t i = 0; i < size; ++i) mean += x.data[row + i] / static_cast<double>(size);
      if (!centered) mean = 0;
      for (size_t i = 0; i < size; ++i)
        square += std::pow(x.data[row + i] - mean, 2) / static_cast<double>(size);
      for (size_t i = 0; i < size; ++i) {
        double y = (x.data[row + i] - mean) / std::sqrt(square + kEps);
        x.data[row + i] = y * (weight ? weight->data[i] : 1) + (bias ? bias->data[i] : 0);
      }
    }
    return x;
  };
}

// Shapes of x; a residual has the same, weight and bias its last axis.
std::vector<std::vector<Shape>> shapes(bool add, int vectors) {
  std::vector<std::vector<Shape>> list;
  std::vector<Shape> xs = {{2, 4}, {5}, {2, 2, 3}, {1, 1}, {0, 4}, {3, 37}, {70, 16}};
  for (int64_t n = 6; n <= 35; ++n) xs.push_back({2, n});
  xs.push_back({33, 300});
  for (const Shape& x : xs) {
    list.push_back({x});
    if (add) list.back().push_back(x);
    for (int i = 0; i < vectors; ++i) list.back().push_back({x.dim(-1)});
  }
  return list;
}

OpCase one(const std::string& op, const std::string& label, bool add, int vectors, Run run,
           Run reference, Naive naive) {
  OpCase c;
  c.op = op;
  c.label = label;
  c.operands = std::vector<Operand>(static_cast<size_t>(1 + add + vectors));
  c.shapes = shapes(add, vectors);
  c.run = std::move(run);
  c.reference = std::move(reference);
  c.naive = std::move(naive);
  c.terms = 16;
  return c;
}

const Tensor kNone;

}  // namespace

std::vector<OpCase> norm_cases() {
  using In = const std::vector<Tensor>&;
  return {
      one(
          "layer_norm", "", false, 2, [](In in) { return layer_norm(in[0], in[1], in[2], kEps); },
          [](In in) { return layer_norm_reference(in[0], in[1], in[2], kEps); },
          norm(true, false, true, true)),
      one(
          "layer_norm", "plain", false, 0,
          [](In in) { return layer_norm(in[0], kNone, kNone, kEps); },
          [](In in) { return layer_norm_reference(in[0], kNone, kNone, kEps); },
          norm(true, false, false, false)),
      one(
          "layer_norm", "without bias", false, 1,
          [](In in) { return layer_norm(in[0], in[1], kNone, kEps); },
          [](In in) { return layer_norm_reference(in[0], in[1], kNone, kEps); },
          norm(true, false, true, false)),
      one(
          "layer_norm", "without weight", false, 1,
          [](In in) { return layer_norm(in[0], kNone, in[1], kEps); },
          [](In in) { return layer_norm_reference(in[0], kNone, in[1], kEps); },
          norm(true, false, false, true)),
      one(
          "add_layer_norm", "", true, 2,
          [](In in) { return add_layer_norm(in[0], in[1], in[2], in[3], kEps); },
          [](In in) { return layer_norm_reference(in[0] + in[1], in[2], in[3], kEps); },
          norm(true, true, true, true)),
      one(
          "add_layer_norm", "plain", true, 0,
          [](In in) { return add_layer_norm(in[0], in[1], kNone, kNone, kEps); },
          [](In in) { return layer_norm_reference(in[0] + in[1], kNone, kNone, kEps); },
          norm(true, true, false, false)),
      one(
          "rms_norm", "", false, 1, [](In in) { return rms_norm(in[0], in[1], kEps); },
          [](In in) { return rms_norm_reference(in[0], in[1], kEps); },
          norm(false, false, true, false)),
      one(
          "rms_norm", "plain", false, 0, [](In in) { return rms_norm(in[0], kNone, kEps); },
          [](In in) { return rms_norm_reference(in[0], kNone, kEps); },
          norm(false, false, false, false)),
  };
}

}  // namespace heed::test
