// Dropout against numbers made one by one with core's Philox.
#include <cmath>

#include <heed/autograd/ops/dropout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

constexpr RandomKey kKey{0x123456789ABCDEF, 0xFFFFFFFE};  // the counter's low word runs over

double scale_of(double p, size_t i) {
  uint32_t bits = philox(kKey.seed, kKey.offset + i / 4)[i % 4];
  return static_cast<double>(to_uniform(bits)) < p ? 0 : 1 / (1 - p);
}

Naive dropped(double p, bool relu, bool add) {
  return [=](const std::vector<Values>& in) {
    Values y = in[0];
    for (size_t i = 0; i < y.data.size(); ++i) {
      double x = relu ? std::max(y.data[i], 0.0) : y.data[i];
      y.data[i] = x * scale_of(p, i) + (add ? in[1].data[i] : 0);
    }
    return y;
  };
}

OpCase one(const std::string& op, double p, size_t operands, Run run, Run reference, Naive naive) {
  OpCase c;
  c.op = op;
  c.label = str("p = ", p);
  c.operands = std::vector<Operand>(operands, away_from_zero());
  for (const Shape& s :
       {Shape{2, 5}, Shape{}, Shape{0, 3}, Shape{3, 4, 1}, Shape{67, 35}, Shape{2500}})
    c.shapes.emplace_back(operands, s);
  for (const auto& s : vector_sizes(static_cast<int>(operands))) c.shapes.push_back(s);
  c.run = std::move(run);
  c.reference = std::move(reference);
  c.naive = std::move(naive);
  return c;
}

OpCase mask(double p, const Shape& shape) {
  OpCase c;
  c.op = "dropout_mask";
  c.label = str("p = ", p, " ", shape);
  c.shapes = {std::vector<Shape>()};
  c.run = [=](const std::vector<Tensor>&) { return dropout_mask(shape, p, kKey, DType::f64); };
  c.naive = [=](const std::vector<Values>&) {
    Values y(shape);
    for (size_t i = 0; i < y.data.size(); ++i) y.data[i] = scale_of(p, i);
    return y;
  };
  return c;
}

Tensor mask_like(const Tensor& x, double p) { return dropout_mask(x.shape(), p, kKey, x.dtype()); }

}  // namespace

std::vector<OpCase> dropout_cases() {
  using In = const std::vector<Tensor>&;
  std::vector<OpCase> cases;
  for (double p : {0.0, 0.1, 0.5, 1.0}) {
    cases.push_back(one(
        "dropout", p, 1, [p](In in) { return dropout(in[0], p, kKey) * 1.0; },
        [p](In in) { return in[0] * mask_like(in[0], p); }, dropped(p, false, false)));
    cases.push_back(one(
        "dropout_add", p, 2, [p](In in) { return dropout_add(in[0], in[1], p, kKey); },
        [p](In in) { return in[0] * mask_like(in[0], p) + in[1]; }, dropped(p, false, true)));
    cases.push_back(one(
        "relu_dropout", p, 1, [p](In in) { return relu_dropout(in[0], p, kKey); },
        [p](In in) { return relu(in[0]) * mask_like(in[0], p); }, dropped(p, true, false)));
    cases.push_back(mask(p, {3, 333}));
  }
  return cases;
}

}  // namespace heed::test
