#include <heed/tests/support/opcase.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/backends/kernel.h>
#include <heed/tests/support/opcase_parts.h>
#include <heed/tests/support/test_device.h>

namespace heed::test {

namespace {

// Central differences are taken if the operands have at most this many elements in all.
constexpr int64_t kSmall = 40;

enum class Layout { contiguous, transposed, sliced, broadcast };
const char* const kLayoutNames[] = {"contiguous", "transposed", "sliced", "broadcast"};

// The same values with other strides.
Tensor laid_out(const Tensor& x, Layout layout) {
  NoGrad guard;
  if (layout == Layout::transposed && x.rank() >= 2) {
    Shape order;
    for (int i = x.rank() - 1; i >= 0; --i) order.push_back(i);
    return x.permute(order).clone().permute(order).detach();
  }
  if (layout == Layout::sliced && x.rank() >= 1) {
    // Every second element of a larger array, after a first row that must not be read.
    Shape large = x.shape();
    for (int i = 0; i < large.rank(); ++i) large[i] = 2 * large[i] + 1;
    Tensor view = x.new_zeros(large);
    view.fill_(is_differentiable(x.dtype()) ? NAN : 1);
    for (int i = 0; i < x.rank(); ++i) view = view.slice(i, 1, large[i], 2);
    view.copy_(x);
    return view.detach();
  }
  return x;
}

struct Result {
  Values value;
  std::vector<std::vector<double>> gradients;  // by each operand that wants one
};

double rms(const std::vector<double>& v) {
  double total = 0;
  for (double x : v) total += x * x;
  return std::sqrt(total / std::max<double>(1, static_cast<double>(v.size())));
}

class Checker {
 public:
  explicit Checker(const OpCase& c) : c_(c) {}
  Report run();

 private:
  std::vector<Values> operands(const std::vector<Shape>& shapes) const;
  Tensor operand(size_t i, const Values& values, DType dtype, Layout layout) const;
  Result evaluate(const Run& f, const std::vector<Values>& in, DType dtype, Layout layout) const;
  double scale_of(const std::vector<Values>& in) const;
  void compare(const Result& got, const Result& want, double tolerance, double scale,
               const std::string& what);
  void compare_values(const Values& got, const Values& want, double tolerance, double scale,
                      const std::string& what);
  void check_shapes(const std::vector<Shape>& shapes, bool thorough);
  void check_bf16(const std::vector<Shape>& shapes, bool thorough);
  void check_device(const std::vector<Values>& in, DType dtype, const std::string& where);
  void check_dtype(const std::vector<Shape>& shapes, DType dtype);
  void check_differences(const std::vector<Shape>& shapes);
  void count(bool ok, const std::string& what) {
    ++report_.checks;
    if (!ok) report_.failures.push_back(str(c_.op, " ", c_.label, ": ", what));
  }

  const OpCase& c_;
  Report report_;
  Device device_ = kCpu;         // where `evaluate` works
  bool bf16_cotangent_ = false;  // cotangents are numbers that bf16 can represent
};

void round_to_bf16(std::vector<double>& values) {
  for (double& v : values) v = to_float(to_bfloat16(static_cast<float>(v)));
}

std::string text(const std::vector<Shape>& shapes) {
  std::string out;
  for (const Shape& s : shapes) out += to_string(s) + " ";
  return out;
}

std::vector<Values> Checker::operands(const std::vector<Shape>& shapes) const {
  std::vector<Values> in;
  for (size_t i = 0; i < shapes.size(); ++i) {
    in.emplace_back(shapes[i]);
    in.back().data = draw(c_.operands[i], shapes[i], 100 + i);
  }
  return in;
}

Tensor Checker::operand(size_t i, const Values& values, DType dtype, Layout layout) const {
  const Operand& o = c_.operands[i];
  DType own = o.kind == Operand::index     ? DType::i64
              : o.kind == Operand::boolean ? DType::boolean
                                           : dtype;
  Tensor x = laid_out(tensor_of(values, own).to(device_), layout);
  // The values are the same all along axis 0.
  if (layout == Layout::broadcast && x.rank() > 0 && x.dim(0) > 0)
    x = Tensor(x.array().slice(0, 0, 1).broadcast_to(x.shape()));
  if (o.wants_gradient && is_differentiable(own)) x.set_requires_grad(true);
  return x;
}

Result Checker::evaluate(const Run& f, const std::vector<Values>& in, DType dtype,
                         Layout layout) const {
  DefaultDevice on(device_);  // the device of what `f` creates
  std::vector<Tensor> x, wanted;
  for (size_t i = 0; i < in.size(); ++i) {
    x.push_back(operand(i, in[i], dtype, layout));
    if (x.back().requires_grad()) wanted.push_back(x.back());
  }
  Tensor y = f(x);
  Result result;
  result.value = values_of(y);
  if (!y.requires_grad()) return result;
  Values c(y.shape());
  c.data = draw(away_from_zero(-1, 1), y.shape(), 7);
  if (bf16_cotangent_) round_to_bf16(c.data);
  BackwardOptions options;
  options.allow_unused = true;
  auto gradients = grad({y}, wanted, {tensor_of(c, y.dtype()).to(y.device())}, options);
  for (size_t i = 0; i < gradients.size(); ++i)
    result.gradients.push_back(gradients[i].defined()
                                   ? gradients[i].to_vector()
                                   : std::vector<double>(static_cast<size_t>(wanted[i].numel())));
  return result;
}

void Checker::compare_values(const Values& got, const Values& want, double tolerance, double scale,
                             const std::string& what) {
  if (!(got.shape == want.shape))
    return count(false, str(what, ": shape ", got.shape, ", expected ", want.shape));
  bool ok = close(got.data, want.data, tolerance, scale);
  std::string detail;
  for (size_t i = 0; !ok && i < got.data.size(); ++i)
    if (!(std::abs(got.data[i] - want.data[i]) <=
          tolerance * std::max(scale, std::abs(want.data[i])))) {
      detail = str(": element ", static_cast<int64_t>(i), " is ", got.data[i], ", expected ",
                   want.data[i]);
      break;
    }
  count(ok, what + detail);
}

void Checker::compare(const Result& got, const Result& want, double tolerance, double scale,
                      const std::string& what) {
  compare_values(got.value, want.value, tolerance, scale, "value " + what);
  if (got.gradients.size() != want.gradients.size())
    return count(false, what + ": number of gradients");
  for (size_t i = 0; i < got.gradients.size(); ++i) {
    Values a(Shape{static_cast<int64_t>(got.gradients[i].size())}), b = a;
    a.data = got.gradients[i];
    b.data = want.gradients[i];
    compare_values(a, b, tolerance, 1e-2, str("gradient ", static_cast<int64_t>(i), " ", what));
  }
}

// The scale of errors where results are small: a hundredth of the operands.
double Checker::scale_of(const std::vector<Values>& in) const {
  double scale = 0;
  for (size_t i = 0; i < in.size(); ++i)
    if (c_.operands[i].kind == Operand::real) scale = std::max(scale, 1e-2 * rms(in[i].data));
  return scale;
}

// The same kernels, so the same bits.
void Checker::check_device(const std::vector<Values>& in, DType dtype, const std::string& where) {
  Result here = evaluate(c_.run, in, dtype, Layout::contiguous);
  device_ = test_device();
  compare(evaluate(c_.run, in, dtype, Layout::contiguous), here, 0, 0,
          str(dtype, " on test:0 ", where));
  device_ = kCpu;
}

void Checker::check_bf16(const std::vector<Shape>& shapes, bool thorough) {
  constexpr double kTolerance = 5e-3;  // no sqrt(K): sums are made in f32
  std::vector<Values> in = operands(shapes);
  for (size_t i = 0; i < in.size(); ++i)
    if (c_.operands[i].kind == Operand::real) round_to_bf16(in[i].data);
  const std::string where = text(shapes);
  bf16_cotangent_ = true;
  Result exact = evaluate(c_.naive ? c_.run : c_.reference, in, DType::f64, Layout::contiguous);
  if (c_.naive) exact.value = c_.naive(in);
  const IsaLevel before = isa_level();
  for (IsaLevel level : {IsaLevel::baseline, IsaLevel::avx2, IsaLevel::avx512}) {
    if (!isa_available(level)) continue;
    set_isa_level(level);
    Result got = evaluate(c_.run, in, DType::bf16, Layout::contiguous);
    compare(got, exact, kTolerance, scale_of(in), str("bf16 ", where, "at ", to_string(level)));
  }
  set_isa_level(before);
  if (thorough) check_device(in, DType::bf16, where);
  for (Layout layout : {Layout::transposed, Layout::sliced})
    if (c_.layouts && thorough)
      compare(evaluate(c_.run, in, DType::bf16, layout), exact, kTolerance, scale_of(in),
              str("bf16 ", kLayoutNames[static_cast<int>(layout)], " ", where));
  bf16_cotangent_ = false;
}

void Checker::check_shapes(const std::vector<Shape>& shapes, bool thorough) {
  std::vector<Values> in = operands(shapes);
  const double grow = std::sqrt(c_.terms), f64 = c_.f64_tolerance * grow,
               f32 = c_.f32_tolerance * grow;
  const double scale = scale_of(in);
  const std::string where = text(shapes);
  const IsaLevel before = isa_level();

  Result exact = evaluate(c_.naive ? c_.run : c_.reference, in, DType::f64, Layout::contiguous);
  if (c_.naive) compare_values(exact.value, c_.naive(in), f64, scale, "value f64 " + where);
  for (IsaLevel level : {IsaLevel::baseline, IsaLevel::avx2, IsaLevel::avx512}) {
    if (!isa_available(level)) continue;
    set_isa_level(level);
    const std::string at = str(where, "at ", to_string(level));
    Result wide = evaluate(c_.run, in, DType::f64, Layout::contiguous);
    compare(wide, exact, f64, scale, "f64 " + at);
    compare(evaluate(c_.run, in, DType::f32, Layout::contiguous), exact, f32, scale, "f32 " + at);
    if (!c_.reference) continue;
    Result composed = evaluate(c_.reference, in, DType::f64, Layout::contiguous);
    compare(wide, composed, 10 * f64, scale, "against the reference " + at);
  }
  set_isa_level(before);
  if (thorough) check_device(in, DType::f32, where);
  if (!c_.layouts || !thorough) return;
  for (Layout layout : {Layout::transposed, Layout::sliced, Layout::broadcast}) {
    Result want = exact;
    if (layout == Layout::broadcast) {
      for (Values& v : in) {
        if (v.shape.rank() == 0 || v.shape[0] < 2) continue;
        size_t row = v.data.size() / static_cast<size_t>(v.shape[0]);
        for (size_t i = row; i < v.data.size(); ++i) v.data[i] = v.data[i % row];
      }
      want = evaluate(c_.run, in, DType::f64, Layout::contiguous);
      if (c_.naive)
        compare_values(want.value, c_.naive(in), f64, scale, "value of repeated rows " + where);
    }
    const std::string how = str(kLayoutNames[static_cast<int>(layout)], " ", where);
    compare(evaluate(c_.run, in, DType::f64, layout), want, f64, scale, "f64 " + how);
    compare(evaluate(c_.run, in, DType::f32, layout), want, f32, scale, "f32 " + how);
  }
}

void Checker::check_dtype(const std::vector<Shape>& shapes, DType dtype) {
  std::vector<Values> in = operands(shapes);
  for (size_t i = 0; i < in.size(); ++i) {
    if (c_.operands[i].kind != Operand::real) continue;
    for (double& v : in[i].data) {
      v = std::round(v * 3);
      if (c_.operands[i].gap > 0 && v == 0) v = 1;
      if (dtype == DType::u8) v = std::fmod(std::abs(v), 256);
      if (dtype == DType::boolean) v = v > 0;
    }
  }
  for (Layout layout : {Layout::contiguous, Layout::transposed, Layout::sliced}) {
    Result got = evaluate(c_.run, in, dtype, layout);
    compare_values(got.value, c_.naive(in), 0, 1, str("value ", dtype, " ", text(shapes)));
  }
}

void Checker::check_differences(const std::vector<Shape>& shapes) {
  std::vector<Values> in = operands(shapes);
  std::vector<Tensor> x;
  int64_t elements = 0;
  bool wanted = false;
  for (size_t i = 0; i < in.size(); ++i) {
    x.push_back(operand(i, in[i], DType::f64, Layout::contiguous));
    wanted |= x.back().requires_grad();
    elements += x.back().numel();
  }
  if (!wanted || elements > kSmall || elements == 0 || !c_.run(x).requires_grad()) return;
  GradcheckResult first = gradcheck(c_.run, x);
  if (first.checked == 0) return;
  count(first.passed, str("gradcheck ", text(shapes), first.message));
  if (!c_.second_order) return;
  GradcheckResult second = gradgradcheck(c_.run, x);
  count(second.passed, str("gradgradcheck ", text(shapes), second.message));
}

Report Checker::run() {
  if (c_.custom) {
    report_.checks = c_.custom();
    DefaultDevice on(test_device());
    report_.checks += c_.custom();
    return report_;
  }
  int64_t differences = 0;
  for (size_t s = 0; s < c_.shapes.size(); ++s) {
    // The many vector widths need neither layouts nor differences at each length.
    bool thorough = s < 8;
    check_shapes(c_.shapes[s], thorough);
    check_bf16(c_.shapes[s], thorough);
    if (thorough) {
      int64_t before = report_.checks;
      check_differences(c_.shapes[s]);
      differences += report_.checks - before;
    }
    for (DType dtype : c_.dtypes) check_dtype(c_.shapes[s], dtype);
  }
  bool wanted = false;
  for (const auto& shapes : c_.shapes)
    for (size_t i = 0; i < shapes.size(); ++i)
      wanted |= c_.operands[i].kind == Operand::real && c_.operands[i].wants_gradient &&
                shapes[i].numel() > 0;
  if (wanted && differences == 0) count(false, "no shape is small enough for central differences");
  return report_;
}

}  // namespace

Report check(const OpCase& c) { return Checker(c).run(); }

GradcheckResult gradcheck_of(const OpCase& c) {
  GradcheckResult all;
  for (size_t s = 0; s < c.shapes.size() && s < 8; ++s) {
    std::vector<Tensor> x;
    int64_t elements = 0;
    for (size_t i = 0; i < c.operands.size(); ++i) {
      const Operand& o = c.operands[i];
      Values v(c.shapes[s][i]);
      v.data = draw(o, v.shape, 100 + i);
      x.push_back(tensor_of(v, o.kind == Operand::index     ? DType::i64
                               : o.kind == Operand::boolean ? DType::boolean
                                                            : DType::f64));
      if (o.wants_gradient && o.kind == Operand::real) x.back().set_requires_grad(true);
      elements += v.shape.numel();
    }
    if (elements == 0 || elements > kSmall || !c.run(x).requires_grad()) continue;
    GradcheckResult r = gradcheck(c.run, x);
    all.checked += r.checked;
    if (!r.passed && all.passed) all.message = r.message;
    all.passed &= r.passed;
    all.worst = std::max(all.worst, r.worst);
  }
  return all;
}

}  // namespace heed::test
