// Batch norm and group norm: x [B, C, ...spatial], statistics over more than one axis.
#include <cmath>

#include <heed/autograd/ops/batch_norm.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/group_norm.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

constexpr double kEps = 1e-2;
const Tensor kNone;

// Which operands follow x.
struct Form {
  bool given = false, weighted = true, biased = true, residual = false, relu = false;
  int64_t groups = 0;  // group norm
};

// (x - mean) / sqrt(var + eps), over the elements that share `lot`: their channel, or for group
// norm their sample and group.
Naive norm(const Form& form) {
  return [=](const std::vector<Values>& in) {
    Values y = in[0];
    if (y.data.empty()) return y;
    const int64_t channels = y.shape.dim(1), size = y.shape.numel() / (channels * y.shape.dim(0));
    auto channel = [=](int64_t i) { return static_cast<size_t>(i / size % channels); };
    auto lot = [=](int64_t i) {
      if (form.groups == 0) return channel(i);
      return static_cast<size_t>(i / size / (channels / form.groups));
    };
    const int64_t lots = form.groups == 0 ? channels : y.shape.dim(0) * form.groups;
    std::vector<double> mean(static_cast<size_t>(lots)), var(mean.size());
    const int64_t n = y.shape.numel();
    const double count = static_cast<double>(n) / static_cast<double>(lots);
    auto at = [](const Values& v, int64_t i) { return v.data[static_cast<size_t>(i)]; };
    for (int64_t i = 0; i < n; ++i) mean[lot(i)] += at(y, i) / count;
    for (int64_t i = 0; i < n; ++i) var[lot(i)] += std::pow(at(y, i) - mean[lot(i)], 2) / count;
    size_t next = 1;
    if (form.given) mean = in[next++].data, var = in[next++].data;
    const Values* weight = form.weighted ? &in[next++] : nullptr;
    const Values* bias = form.biased ? &in[next++] : nullptr;
    for (int64_t i = 0; i < n; ++i) {
      double v = (at(y, i) - mean[lot(i)]) / std::sqrt(var[lot(i)] + kEps);
      v = v * (weight ? weight->data[channel(i)] : 1) + (bias ? bias->data[channel(i)] : 0);
      if (form.residual) v += at(in[next], i);
      y.data[static_cast<size_t>(i)] = form.relu ? std::max(v, 0.0) : v;
    }
    return y;
  };
}

// x's shapes: no, one, two and three spatial axes, odd sizes around the vector width, planes that
// are cut into pieces, channels that are shared among threads.
std::vector<std::vector<Shape>> shapes(const Form& form, int64_t channels) {
  std::vector<Shape> xs = {{2, channels, 3},
                           {3, channels},
                           {2, channels, 2, 2},
                           {1, channels, 4},
                           {2, channels, 2, 1, 3}};
  for (int64_t n = 5; n <= 35; ++n) xs.push_back({2, channels, n});
  xs.insert(xs.end(), {{70, channels, 1}, {9, channels, 7}, {2, channels, 61, 150}});
  if (form.groups == 0) xs.insert(xs.end(), {{1, 1, 40000}, {3, 3, 150, 80}, {33, 37, 5, 5}});
  std::vector<std::vector<Shape>> lists;
  for (const Shape& x : xs) {
    lists.push_back({x});
    for (int i = 0; i < 2 * form.given + form.weighted + form.biased; ++i)
      lists.back().push_back({x.dim(1)});
    if (form.residual) lists.back().push_back(x);
  }
  return lists;
}

using Op = std::function<Tensor(const std::vector<Tensor>& in, const Tensor& weight,
                                const Tensor& bias, const Tensor& residual)>;
Run run(const Form& form, Op op) {
  return [=](const std::vector<Tensor>& in) {
    size_t next = form.given ? 3 : 1;
    Tensor weight = form.weighted ? in[next++] : kNone, bias = form.biased ? in[next++] : kNone;
    return op(in, weight, bias, form.residual ? in[next] : kNone);
  };
}

OpCase one(const std::string& op, const std::string& label, const Form& form, Op f, Op reference,
           int64_t channels = 2) {
  OpCase c;
  c.op = op;
  c.label = label;
  c.operands = {Operand()};
  if (form.given)
    c.operands.insert(c.operands.end(),
                      {without_gradient(in_range(-1, 1)), without_gradient(in_range(0.5, 2))});
  for (int i = 0; i < form.weighted + form.biased + form.residual; ++i) c.operands.emplace_back();
  c.shapes = shapes(form, channels);
  c.run = run(form, std::move(f));
  c.reference = run(form, std::move(reference));
  c.naive = norm(form);
  c.terms = 16;
  return c;
}

OpCase training(const std::string& label, const Form& form) {
  auto options = [=](const Tensor& residual) {
    return BatchNormOptions{kEps, form.relu, residual};
  };
  return one(
      "batch_norm_training", label, form,
      [=](auto& in, auto& weight, auto& bias, auto& residual) {
        return batch_norm_training(in[0], weight, bias, options(residual)).y;
      },
      [=](auto& in, auto& weight, auto& bias, auto& residual) {
        return batch_norm_training_reference(in[0], weight, bias, options(residual));
      });
}

OpCase given(const std::string& label, Form form) {
  form.given = true;
  auto options = [=](const Tensor& residual) {
    return BatchNormOptions{kEps, form.relu, residual};
  };
  // Statistics of bf16 are f32.
  auto wide = [](const Tensor& t) { return t.to(accumulate_dtype(t.dtype())); };
  OpCase c = one(
      "batch_norm", label, form,
      [=](auto& in, auto& weight, auto& bias, auto& residual) {
        return batch_norm(in[0], wide(in[1]), wide(in[2]), weight, bias, options(residual));
      },
      [=](auto& in, auto& weight, auto& bias, auto& residual) {
        return batch_norm_reference(in[0], wide(in[1]), wide(in[2]), weight, bias,
                                    options(residual));
      });
  c.shapes.push_back(c.shapes[0]);
  for (Shape& s : c.shapes.back())
    if (s.rank() > 1) s[0] = 0;  // no sample
  return c;
}

OpCase grouped(const std::string& label, int64_t groups, const Form& of) {
  Form form = of;
  form.groups = groups;
  return one(
      "group_norm", label, form,
      [=](auto& in, auto& weight, auto& bias, auto&) {
        return group_norm(in[0], groups, weight, bias, kEps);
      },
      [=](auto& in, auto& weight, auto& bias, auto&) {
        return group_norm_reference(in[0], groups, weight, bias, kEps);
      },
      6);
}

OpCase running() {
  OpCase c;
  c.op = "update_running_";
  c.custom = [] {
    int64_t checks = 0;
    for (DType dtype : {DType::f32, DType::f64})
      for (bool average : {false, true}) {
        Tensor mean = zeros({3}, dtype), var = ones({3}, dtype), count = zeros({}, DType::i64);
        std::vector<double> want_mean(3, 0), want_var(3, 1);
        for (int step = 1; step <= 3; ++step) {
          Tensor m = randn({3}, dtype), v = rand({3}, dtype);
          std::optional<double> momentum;
          if (!average) momentum = 0.25;
          update_running_(m, v, momentum, mean, var, count);
          const double f = average ? 1.0 / step : 0.25;
          for (size_t i = 0; i < 3; ++i) {
            want_mean[i] += f * (m.to_vector()[i] - want_mean[i]);
            want_var[i] += f * (v.to_vector()[i] - want_var[i]);
          }
          const double tolerance = dtype == DType::f32 ? 1e-6 : 1e-14;
          if (!close(mean.to_vector(), want_mean, tolerance, 1) ||
              !close(var.to_vector(), want_var, tolerance, 1) || count.item() != step)
            throw std::runtime_error("update_running_: other values");
          ++checks;
        }
      }
    return checks;
  };
  return c;
}

}  // namespace

std::vector<OpCase> image_norm_cases() {
  const Form all, plain{.weighted = false, .biased = false};
  const Form weight{.biased = false}, bias{.weighted = false};
  const Form relu{.relu = true}, add{.residual = true}, add_relu{.residual = true, .relu = true};
  const Form bare{.weighted = false, .biased = false, .residual = true, .relu = true};
  return {training("", all),
          training("plain", plain),
          training("without bias", weight),
          training("without weight", bias),
          training("relu", relu),
          training("residual", add),
          training("residual and relu", add_relu),
          training("residual and relu, plain", bare),
          given("", all),
          given("plain", plain),
          given("relu", relu),
          given("residual and relu", add_relu),
          running(),
          grouped("", 2, all),
          grouped("plain", 3, plain),
          grouped("one group", 1, weight),
          grouped("a channel each", 6, bias)};
}

}  // namespace heed::test
