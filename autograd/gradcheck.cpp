#include <heed/autograd/gradcheck.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/core/random.h>

namespace heed {

namespace {

// Copies of the inputs, so that f may be called with any of them changed.
std::vector<Tensor> fresh(const std::vector<Tensor>& inputs, const char* op) {
  std::vector<Tensor> copies;
  NoGrad guard;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    if (!x.defined() || !x.requires_grad()) {
      copies.push_back(x);
      continue;
    }
    if (x.dtype() != DType::f64)
      throw DTypeError(str(op, ": input ", i, " is ", x.dtype(), "; central differences need f64"));
    copies.push_back(x.clone());
    copies.back().set_requires_grad(true);
  }
  return copies;
}

// Away from zero, so that every output element counts.
Tensor random_cotangent(const Shape& shape, uint64_t seed) {
  Tensor u(random_uniform(shape, -1, 1, {seed, 0}, DType::f64));
  return where(less(u, 0.0), u - 0.5, u + 0.5);
}

double evaluate(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                const Tensor& cotangent) {
  NoGrad guard;
  return sum(f(inputs) * cotangent).item();
}

std::string place_of(int64_t element, const Shape& shape) {
  Shape place = shape;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    place[i] = element % shape[i];
    element /= shape[i];
  }
  return to_string(place);
}

// The analytic gradients of <c, f> by every input that requires one, against differences of f's
// values.
GradcheckResult compare(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                        const Tensor& cotangent, const std::vector<Tensor>& analytic,
                        const GradcheckOptions& options) {
  GradcheckResult result;
  size_t next = 0;
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Tensor& x = inputs[i];
    if (!x.defined() || !x.requires_grad()) continue;
    const Tensor& gradient = analytic[next++];
    if (gradient.defined() && (!(gradient.shape() == x.shape()) || gradient.dtype() != DType::f64))
      throw ShapeError(str("gradcheck: gradient ", gradient.shape(), " ", gradient.dtype(),
                           " for input ", i, " ", x.shape()));
    std::vector<double> exact = gradient.defined()
                                    ? gradient.to_vector()
                                    : std::vector<double>(static_cast<size_t>(x.numel()));
    double* values = x.array().data<double>();  // contiguous: it is our clone
    for (int64_t e = 0; e < x.numel(); ++e) {
      double before = values[e], h = options.step * std::max(1.0, std::abs(before));
      values[e] = before + h;
      double above = evaluate(f, inputs, cotangent);
      values[e] = before - h;
      double below = evaluate(f, inputs, cotangent);
      values[e] = before;
      double numeric = (above - below) / (2 * h), got = exact[static_cast<size_t>(e)];
      double error =
          std::abs(got - numeric) / (options.absolute + options.relative * std::abs(numeric));
      if (!(error >= 0)) error = HUGE_VAL;  // NaN on either side
      ++result.checked;
      if (error > result.worst || (error > 1 && result.passed)) {
        result.worst = error;
        result.message = str("input ", i, " at ", place_of(e, x.shape()), ": gradient ", got,
                             ", by differences ", numeric);
      }
      if (error > 1) result.passed = false;
    }
  }
  if (result.checked == 0)
    result.message = "no input requires a gradient, or all are empty: nothing was checked";
  return result;
}

std::vector<Tensor> wanting(const std::vector<Tensor>& inputs) {
  std::vector<Tensor> out;
  for (const Tensor& x : inputs)
    if (x.defined() && x.requires_grad()) out.push_back(x);
  return out;
}

}  // namespace

GradcheckResult gradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                          const GradcheckOptions& options) {
  std::vector<Tensor> x = fresh(inputs, "gradcheck");
  GradMode on(true);
  Tensor y = f(x);
  if (!y.requires_grad()) {
    GradcheckResult nothing{false, 0, 0,
                            "the output does not depend on any input that requires a gradient"};
    return nothing;
  }
  if (y.dtype() != DType::f64)
    throw DTypeError(str("gradcheck: the output is ", y.dtype(), ", f64 expected"));
  Tensor cotangent = random_cotangent(y.shape(), options.seed);
  BackwardOptions allow;
  allow.allow_unused = true;
  std::vector<Tensor> analytic = grad({y}, wanting(x), {cotangent}, allow);
  return compare(f, x, cotangent, analytic, options);
}

// The function under test is g(x, c) = d<c, f>/dx for all inputs; its outputs are weighted and
// summed to one number, so that one call of `gradcheck` covers all second derivatives.
GradcheckResult gradgradcheck(const CheckedFunction& f, const std::vector<Tensor>& inputs,
                              const GradcheckOptions& options) {
  std::vector<Tensor> x = fresh(inputs, "gradgradcheck");
  Tensor y;
  {
    NoGrad guard;
    y = f(x);
  }
  Tensor cotangent = random_cotangent(y.shape(), options.seed);
  cotangent.set_requires_grad(true);
  std::vector<Tensor> all = x;
  all.push_back(cotangent);
  uint64_t seed = options.seed + 1;
  auto first = [&](const std::vector<Tensor>& in) {
    GradMode on(true);
    // Under no_grad (for differences) the inputs are still leaves, so the graph is recorded here
    // nevertheless.
    std::vector<Tensor> point(in.begin(), in.end() - 1);
    Tensor value = f(point);
    BackwardOptions create;
    create.create_graph = true;
    create.allow_unused = true;
    std::vector<Tensor> gradients = grad({value}, wanting(point), {in.back()}, create);
    Tensor total = sum(in.back() * 0.0);
    for (size_t i = 0; i < gradients.size(); ++i)
      if (gradients[i].defined())
        total = total + sum(gradients[i] * random_cotangent(gradients[i].shape(), seed + i));
    return total;
  };
  return gradcheck(first, all, options);
}

}  // namespace heed
