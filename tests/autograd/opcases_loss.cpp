// Losses, each class loss with every reduction, label smoothing and targets that are ignored.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/losses.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

const char* name_of(Reduction r) {
  return r == Reduction::mean ? "mean" : r == Reduction::sum ? "sum" : "none";
}

Values reduced(const Values& losses, Reduction reduction, double counted) {
  if (reduction == Reduction::none) return losses;
  Values total((Shape()));
  for (double loss : losses.data) total.data[0] += loss;
  if (reduction == Reduction::mean) total.data[0] /= std::max(counted, 1.0);
  return total;
}

Values class_losses(const Values& logits, const Values& target, const CrossEntropyOptions& o) {
  Values losses(target.shape);
  auto n = static_cast<size_t>(logits.shape.dim(-1));
  double counted = 0, e = o.label_smoothing;
  for (size_t r = 0; r < losses.data.size(); ++r) {
    const double* x = logits.data.data() + r * n;
    auto t = static_cast<int64_t>(target.data[r]);
    if (t == o.ignore_index) continue;
    double max = -INFINITY, total = 0, mean = 0;
    for (size_t i = 0; i < n; ++i) max = std::max(max, x[i]);
    for (size_t i = 0; i < n; ++i) total += std::exp(x[i] - max);
    for (size_t i = 0; i < n; ++i) mean += x[i] / static_cast<double>(n);
    losses.data[r] = max + std::log(total) - (1 - e) * x[t] - e * mean;
    ++counted;
  }
  return reduced(losses, o.reduction, counted);
}

OpCase cross_entropy_case(const CrossEntropyOptions& o) {
  OpCase c;
  c.op = "cross_entropy";
  c.label = str(name_of(o.reduction), " smoothing ", o.label_smoothing, " ignore ", o.ignore_index);
  c.operands = {in_range(-3, 3), indices(3)};
  c.shapes = {{{4, 5}, {4}}, {{3}, {}},        {{2, 3, 4}, {2, 3}},
              {{0, 3}, {0}}, {{33, 17}, {33}}, {{3, 700}, {3}}};
  for (int64_t n = 3; n <= 35; ++n) c.shapes.push_back({{2, n}, {2}});
  c.run = [o](const std::vector<Tensor>& in) { return cross_entropy(in[0], in[1], o); };
  c.reference = [o](const std::vector<Tensor>& in) {
    return cross_entropy_reference(in[0], in[1], o);
  };
  c.naive = [o](const std::vector<Values>& in) { return class_losses(in[0], in[1], o); };
  c.terms = 16;
  return c;
}

OpCase linear_case(const CrossEntropyOptions& o, bool bias, bool large) {
  OpCase c;
  c.op = "linear_cross_entropy";
  c.label = str(name_of(o.reduction), " smoothing ", o.label_smoothing, bias ? " bias" : "");
  c.operands = {Operand{}, Operand{}, indices(3)};
  c.shapes = {{{4, 2}, {5, 2}, {4}}};
  if (large) {  // more rows than a chunk, more classes than a block, odd remainders of both
    c.shapes.push_back({{300, 5}, {131, 5}, {300}});
    c.shapes.push_back({{37, 33}, {1090, 33}, {37}});
    c.layouts = false;  // with equal rows of weights the gradient by x would be rounding alone
  } else {
    for (auto& s : std::vector<std::vector<Shape>>{
             {{1, 3}, {4, 3}, {1}}, {{0, 2}, {3, 2}, {0}}, {{2, 2, 2}, {3, 2}, {2, 2}}})
      c.shapes.push_back(s);
  }
  if (bias) {
    c.operands.push_back(Operand{});
    for (auto& s : c.shapes) s.push_back({s[1][0]});
  }
  auto bias_of = [bias](const std::vector<Tensor>& in) { return bias ? in[3] : Tensor(); };
  c.run = [=](const std::vector<Tensor>& in) {
    return linear_cross_entropy(in[0], in[1], bias_of(in), in[2], o);
  };
  c.reference = [=](const std::vector<Tensor>& in) {
    return linear_cross_entropy_reference(in[0], in[1], bias_of(in), in[2], o);
  };
  c.naive = [=](const std::vector<Values>& in) {
    Shape shape = in[2].shape;
    shape.push_back(in[1].shape[0]);
    auto d = static_cast<size_t>(in[1].shape[1]), v = static_cast<size_t>(in[1].shape[0]);
    Values logits(shape);
    for (size_t i = 0; i < logits.data.size(); ++i) {
      logits.data[i] = bias ? in[3].data[i % v] : 0;
      for (size_t k = 0; k < d; ++k)
        logits.data[i] += in[0].data[i / v * d + k] * in[1].data[i % v * d + k];
    }
    return class_losses(logits, in[2], o);
  };
  c.terms = 64;
  return c;
}

OpCase pairs(const std::string& op, Reduction reduction, Operand x, Operand t,
             double (*loss)(double, double), Tensor (*f)(const Tensor&, const Tensor&, Reduction)) {
  OpCase c;
  c.op = op;
  c.label = name_of(reduction);
  c.operands = {x, t};
  for (const Shape& s : {Shape{2, 3}, Shape{}, Shape{7, 2}, Shape{33, 5}})
    c.shapes.push_back({s, s});
  c.run = [=](const std::vector<Tensor>& in) { return f(in[0], in[1], reduction); };
  c.naive = [=](const std::vector<Values>& in) {
    Values losses(in[0].shape);
    for (size_t i = 0; i < losses.data.size(); ++i)
      losses.data[i] = loss(in[0].data[i], in[1].data[i]);
    return reduced(losses, reduction, static_cast<double>(losses.data.size()));
  };
  c.terms = 16;
  return c;
}

}  // namespace

std::vector<OpCase> loss_cases() {
  std::vector<OpCase> cases;
  for (Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none}) {
    for (double smoothing : {0.0, 0.1}) {
      CrossEntropyOptions plain{smoothing, -100, reduction}, ignoring{smoothing, 1, reduction};
      cases.push_back(cross_entropy_case(plain));
      cases.push_back(cross_entropy_case(ignoring));
      if (reduction == Reduction::none) continue;
      for (bool large : {false, true}) {
        cases.push_back(linear_case(ignoring, true, large));
        cases.push_back(linear_case(plain, false, large));
      }
    }
    cases.push_back(pairs(
        "mse_loss", reduction, {}, {}, [](double x, double t) { return (x - t) * (x - t); },
        mse_loss));
    cases.push_back(pairs(
        "binary_cross_entropy_with_logits", reduction, away_from_zero(), in_range(0, 1),
        [](double x, double t) {
          return std::max(x, 0.0) - x * t + std::log1p(std::exp(-std::abs(x)));
        },
        binary_cross_entropy_with_logits));
    cases.push_back(pairs(
        "binary_cross_entropy", reduction, in_range(0.1, 0.9), in_range(0, 1),
        [](double p, double t) { return -t * std::log(p) - (1 - t) * std::log(1 - p); },
        binary_cross_entropy));
  }
  return cases;
}

}  // namespace heed::test
