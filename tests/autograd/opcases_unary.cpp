// Elementwise functions of one tensor.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

double sigmoid_of(double x) { return 1 / (1 + std::exp(-x)); }
double gelu_tanh_of(double x) {
  return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
}

std::vector<std::vector<Shape>> shapes_of_one() {
  std::vector<std::vector<Shape>> list = {{{}}, {{3, 5}}, {{0, 3}}, {{2, 3, 4}}, {{1, 7, 1}}};
  for (auto& s : vector_sizes(1)) list.push_back(s);
  list.push_back({{67, 33}});
  return list;
}

OpCase unary(const std::string& op, Tensor (*f)(const Tensor&), double (*naive)(double),
             Operand operand = {}) {
  OpCase c;
  c.op = op;
  c.operands = {operand};
  c.shapes = shapes_of_one();
  c.run = [f](const std::vector<Tensor>& in) { return f(in[0]); };
  c.naive = pointwise([naive](const std::vector<double>& x) { return naive(x[0]); });
  return c;
}

OpCase with_settings(const std::string& op, const std::string& label, Run run,
                     std::function<double(double)> naive, Operand operand = {}) {
  OpCase c = unary(op, nullptr, nullptr, operand);
  c.label = label;
  c.run = std::move(run);
  c.naive = pointwise([naive](const std::vector<double>& x) { return naive(x[0]); });
  return c;
}

}  // namespace

std::vector<OpCase> unary_cases() {
  std::vector<OpCase> list = {
      unary("neg", neg, [](double x) { return -x; }),
      unary("exp", exp, [](double x) { return std::exp(x); }),
      unary(
          "log", log, [](double x) { return std::log(x); }, in_range(0.2, 4)),
      unary(
          "sqrt", sqrt, [](double x) { return std::sqrt(x); }, in_range(0.2, 4)),
      unary(
          "rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, in_range(0.2, 4)),
      unary(
          "reciprocal", reciprocal, [](double x) { return 1 / x; }, in_range(0.4, 3)),
      unary("square", square, [](double x) { return x * x; }),
      unary("tanh", tanh, [](double x) { return std::tanh(x); }),
      unary("sigmoid", sigmoid, sigmoid_of),
      unary(
          "relu", relu, [](double x) { return x > 0 ? x : 0; }, away_from_zero()),
      unary("gelu", gelu, [](double x) { return x * 0.5 * (1 + std::erf(x / std::sqrt(2))); }),
      unary("gelu_tanh", gelu_tanh, gelu_tanh_of),
      unary("silu", silu, [](double x) { return x * sigmoid_of(x); }),
      unary("softplus", softplus, [](double x) { return std::log1p(std::exp(x)); }),
      unary("erf", erf, [](double x) { return std::erf(x); }),
      unary("sin", sin, [](double x) { return std::sin(x); }),
      unary("cos", cos, [](double x) { return std::cos(x); }),
      unary(
          "abs", abs, [](double x) { return std::abs(x); }, away_from_zero()),
      unary(
          "sign", sign, [](double x) { return x > 0   ? 1.0
                                              : x < 0 ? -1.0
                                                      : 0.0; },
          away_from_zero()),
      with_settings(
          "elu", "alpha 1", [](auto& in) { return elu(in[0]); },
          [](double x) { return x > 0 ? x : std::expm1(x); }, away_from_zero()),
      with_settings(
          "elu", "alpha 0.5", [](auto& in) { return elu(in[0], 0.5); },
          [](double x) { return x > 0 ? x : 0.5 * std::expm1(x); }, away_from_zero()),
      with_settings(
          "clamp", "", [](auto& in) { return clamp(in[0], -0.7, 1.1); },
          [](double x) { return std::min(1.1, std::max(-0.7, x)); }),
      with_settings(
          "pow", "number", [](auto& in) { return pow(in[0], 3.0); },
          [](double x) { return x * x * x; }, away_from_zero()),
      with_settings(
          "pow", "fraction", [](auto& in) { return pow(in[0], 1.7); },
          [](double x) { return std::pow(x, 1.7); }, in_range(0.3, 3)),
      with_settings(
          "add", "number", [](auto& in) { return add(in[0], 1.25); },
          [](double x) { return x + 1.25; }),
      with_settings(
          "mul", "number", [](auto& in) { return mul(in[0], -2.5); },
          [](double x) { return -2.5 * x; }),
      with_settings(
          "div", "number", [](auto& in) { return div(in[0], 49.0); },
          [](double x) { return x / 49; }),
      with_settings(
          "rsub", "", [](auto& in) { return rsub(1.5, in[0]); }, [](double x) { return 1.5 - x; }),
      with_settings(
          "rdiv", "", [](auto& in) { return rdiv(1.5, in[0]); }, [](double x) { return 1.5 / x; },
          in_range(0.4, 3)),
  };
  list[0].dtypes = {DType::i32, DType::i64};
  return list;
}

}  // namespace heed::test
