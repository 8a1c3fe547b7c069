#include <heed/autograd/anomaly.h>

#include <cmath>
#include <optional>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/source_location.h>
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
  Array values = x.new_empty(x.shape(), accumulate_dtype(x.dtype()));
  kernels::copy(x, values);
  values = values.to(kCpu);
  switch (values.dtype()) {
    case DType::f32: return first_of<float>(values, bad);
    case DType::f64: return first_of<double>(values, bad);
    default: refuse_dtype("anomaly mode", values.dtype());
  }
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

// " in output 1" if there are several outputs.
std::string which_output(size_t k, size_t count) { return count > 1 ? str(" in output ", k) : ""; }

std::optional<Fault> fault_of(const Array& output, const Tensor* const* inputs, int count,
                              bool minus_inf) {
  auto fault = first(output, [](double v) { return std::isnan(v) || v == HUGE_VAL; });
  if (fault || minus_inf) return fault;
  fault = first(output, is_minus_inf);
  for (int i = 0; fault && i < count; ++i)
    if (inputs[i]->defined() && first(inputs[i]->array(), is_minus_inf)) return std::nullopt;
  return fault;
}

std::string text_of(const Tensor* const* inputs, int count) {
  std::string text;
  for (int i = 0; i < count; ++i) {
    if (i > 0) text += ", ";
    if (!inputs[i]->defined()) {
      text += "none";
      continue;
    }
    const Array& x = inputs[i]->array();
    text += str(x.shape(), " ", x.dtype());
    auto before = first(x, [](double v) { return !std::isfinite(v); });
    if (before) text += str(" (already ", describe(*before, x), ")");
  }
  return text;
}

}  // namespace

namespace detail {

void check_outputs(const char* op, const Tensor* const* inputs, int count,
                   std::span<const Array> outputs, unsigned minus_inf) {
  for (size_t k = 0; k < outputs.size(); ++k) {
    if (!outputs[k].defined()) continue;
    auto fault = fault_of(outputs[k], inputs, count, minus_inf >> (31 - k) & 1);
    if (!fault) continue;
    throw NumericError(str("anomaly: '", op, "' gave ", describe(*fault, outputs[k]),
                           which_output(k, outputs.size()), "; inputs: ", text_of(inputs, count),
                           resolve_location(ModuleScope::path() + capture_location())));
  }
}

void check_gradient(const Node& node, int input, const Tensor& gradient) {
  auto fault = first(gradient.array(), [](double v) { return !std::isfinite(v); });
  if (!fault) return;
  std::string results;
  for (size_t k = 0; k < node.outputs.size(); ++k)
    results += str(k > 0 ? ", " : "", node.outputs[k].shape, " ", node.outputs[k].dtype);
  throw NumericError(str("anomaly: the gradient of '", node.name(), "' by input ", input, " is ",
                         describe(*fault, gradient.array()), "; its output was ", results,
                         resolve_location(node.where)));
}

}  // namespace detail

}  // namespace heed
