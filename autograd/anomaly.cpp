// Anomaly mode: who made the first value that is not finite.
//
// NaN and +inf are faults wherever they appear. -inf is one only if the op made it of inputs
// without
// -inf, for scores are masked with it. A gradient has to be finite.
#include <cmath>
#include <optional>

#include <heed/autograd/engine.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/source_location.h>
#include <heed/autograd/tape.h>
#include <heed/backends/copy.h>

namespace heed {

namespace {

struct Fault {
  double value;
  int64_t element;
};

template <class T, class Bad>
std::optional<Fault> first_of(const Array& x, Bad bad) {
  const T* p = x.data<T>();
  for (int64_t i = 0; i < x.numel(); ++i)
    if (bad(static_cast<double>(p[i]))) return Fault{static_cast<double>(p[i]), i};
  return std::nullopt;
}

template <class Bad>
std::optional<Fault> first(const Array& x, Bad bad) {
  if (!is_differentiable(x.dtype())) return std::nullopt;
  if (x.dtype() == DType::f64) return first_of<double>(packed(x), bad);
  Array values = Array::empty(x.shape(), DType::f32, x.device());
  kernels::copy(x, values);
  return first_of<float>(values, bad);
}

bool is_minus_inf(double v) { return v == -HUGE_VAL; }

std::string describe(const Fault& fault, const Array& x) {
  Shape place = x.shape();
  for (int64_t i = place.rank() - 1, rest = fault.element; i >= 0; --i) {
    int64_t& size = place[static_cast<int>(i)];
    int64_t at = rest % size;
    rest /= size;
    size = at;
  }
  return str(fault.value, " at ", place, " of ", x.shape(), " ", x.dtype());
}

}  // namespace

namespace detail {

std::string user_location() { return capture_location(); }

void check_anomaly(const char* op, const Tensor* const* inputs, int count, const Array& output) {
  auto fault = first(output, [](double v) { return std::isnan(v) || v == HUGE_VAL; });
  if (!fault) {
    fault = first(output, is_minus_inf);
    if (!fault) return;
    for (int i = 0; i < count; ++i)
      if (inputs[i]->defined() && first(inputs[i]->array(), is_minus_inf)) return;
  }
  std::string message = str("anomaly: '", op, "' gave ", describe(*fault, output), "; inputs: ");
  for (int i = 0; i < count; ++i) {
    if (i > 0) message += ", ";
    if (!inputs[i]->defined()) {
      message += "none";
      continue;
    }
    const Array& x = inputs[i]->array();
    message += str(x.shape(), " ", x.dtype());
    auto before = first(x, [](double v) { return !std::isfinite(v); });
    if (before) message += str(" (already ", describe(*before, x), ")");
  }
  throw NumericError(message + resolve_location(ModuleScope::path() + capture_location()));
}

}  // namespace detail

void check_gradient(const Node& node, int input, const Tensor& gradient) {
  auto fault = first(gradient.array(), [](double v) { return !std::isfinite(v); });
  if (!fault) return;
  throw NumericError(str("anomaly: the gradient of '", node.name(), "' by input ", input, " is ",
                         describe(*fault, gradient.array()), "; its output was ", node.shape, " ",
                         node.dtype, detail::resolve_location(node.where)));
}

}  // namespace heed
