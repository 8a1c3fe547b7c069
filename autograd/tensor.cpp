#include <heed/autograd/tensor.h>

#include <ostream>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/backends/copy.h>
#include <heed/core/random.h>

namespace heed {

TensorImpl::TensorImpl(Array v, Ref<Node> n) : value(std::move(v)), node(std::move(n)) {}
TensorImpl::~TensorImpl() = default;

void Tensor::fail_undefined() {
  throw ValueError(
      "an undefined tensor has no value (made by Tensor(), or a gradient before backward)");
}

Tensor::Tensor(Array value) : Tensor(std::move(value), Ref<Node>()) {}
Tensor::Tensor(Array value, Ref<Node> node)
    : impl_(new TensorImpl(std::move(value), std::move(node))) {}

Tensor Tensor::from(std::initializer_list<float> values, const Shape& shape) {
  return Tensor(Array::from(values, shape));
}
Tensor Tensor::scalar(double value, DType dtype) { return full({}, value, dtype); }

double Tensor::item() const {
  if (numel() != 1) throw ShapeError(str("item: one element expected, got shape ", shape()));
  return to_vector()[0];
}

std::vector<double> Tensor::to_vector() const {
  Array values = Array::empty(shape(), DType::f64);
  kernels::copy(array(), values);
  return {values.data<double>(), values.data<double>() + values.numel()};
}

bool Tensor::is_leaf() const { return !requires_grad() || node()->is_leaf(); }

Tensor& Tensor::set_requires_grad(bool on) {
  if (!is_leaf())
    throw GradError(str("set_requires_grad: the tensor is the result of '", node()->name(),
                        "'; detach it first"));
  if (on && !is_differentiable(dtype())) refuse_dtype("set_requires_grad", dtype());
  if (on == requires_grad()) return *this;
  impl_->node = Ref<Node>();
  if (on) {
    impl_->node = Ref<Node>(new Leaf);
    impl_->node->shape = shape();
    impl_->node->dtype = dtype();
  }
  return *this;
}

Tensor Tensor::grad() const {
  if (!requires_grad() || !node()->is_leaf()) return Tensor();
  return static_cast<Leaf&>(*node()).grad;
}

void Tensor::set_grad(const Tensor& gradient) const {
  if (!requires_grad() || !node()->is_leaf()) {
    if (!gradient.defined()) return;
    throw GradError("set_grad: not a leaf that requires a gradient");
  }
  if (gradient.defined() && !(gradient.shape() == shape()))
    throw ShapeError(str("set_grad: gradient ", gradient.shape(), " for a tensor ", shape()));
  static_cast<Leaf&>(*node()).grad = gradient;
}

void Tensor::backward(const Tensor& cotangent, bool retain_graph, bool create_graph) const {
  BackwardOptions options;
  options.retain_graph = retain_graph;
  options.create_graph = create_graph;
  heed::backward({*this}, {cotangent}, options);
}

Tensor Tensor::detach() const { return Tensor(array()); }

void Tensor::register_hook(Tensor (*hook)(const Tensor&, void*), void* context) const {
  if (!requires_grad()) throw GradError("register_hook: the tensor does not require a gradient");
  node()->hooks.push_back({hook, context});
}

static void require_changeable(const Tensor& t, const char* op) {
  if (t.requires_grad() && grad_enabled())
    throw GradError(
        str(op, ": a tensor that requires a gradient is changed in place; use it under NoGrad"));
}

void Tensor::copy_(const Tensor& source) const {
  require_changeable(*this, "copy_");
  kernels::copy(source.array().broadcast_to(shape()), array());
  array().storage().bump_version();
}

void Tensor::fill_(double value) const { copy_(Tensor(full({}, value, dtype()))); }

void Tensor::set_value(Array value) const {
  if (!(value.shape() == shape()))
    throw ShapeError(str("set_value: ", value.shape(), " for a tensor ", shape()));
  bool wanted = requires_grad();
  if (!is_leaf()) throw GradError("set_value: not a leaf");
  impl_->value = std::move(value);
  if (wanted) {
    impl_->node = Ref<Node>(new Leaf);
    impl_->node->shape = shape();
    impl_->node->dtype = dtype();
  }
}

Tensor Tensor::reshape(const Shape& s) const { return heed::reshape(*this, s); }
Tensor Tensor::permute(const Shape& order) const { return heed::permute(*this, order); }
Tensor Tensor::transpose(int a, int b) const { return heed::transpose(*this, a, b); }
Tensor Tensor::slice(int axis, int64_t begin, int64_t end, int64_t step) const {
  return heed::slice(*this, axis, begin, end, step);
}
Tensor Tensor::operator[](int64_t index) const { return heed::select(*this, 0, index); }
Tensor Tensor::squeeze(int axis) const { return heed::squeeze(*this, axis); }
Tensor Tensor::unsqueeze(int axis) const { return heed::unsqueeze(*this, axis); }
Tensor Tensor::contiguous() const { return heed::contiguous(*this); }
Tensor Tensor::to(DType d) const { return heed::cast(*this, d); }
Tensor Tensor::clone() const { return heed::clone(*this); }

Tensor full(const Shape& shape, double value, DType dtype) {
  Array out = Array::empty(shape, dtype);
  kernels::fill(out, value);
  return Tensor(std::move(out));
}
Tensor zeros(const Shape& shape, DType dtype) { return Tensor(Array::zeros(shape, dtype)); }
Tensor ones(const Shape& shape, DType dtype) { return full(shape, 1, dtype); }

Tensor arange(int64_t count, DType dtype) {
  if (count < 0) throw ValueError(str("arange: count ", count, " is negative"));
  std::vector<int64_t> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(i)] = i;
  return Tensor::from(values, {count}).to(dtype);
}

Tensor eye(int64_t n, DType dtype) {
  Array out = Array::zeros({n, n}, dtype);
  Array diagonal = out.with({n}, {n + 1});
  kernels::fill(diagonal, 1);
  return Tensor(std::move(out));
}

Tensor rand(const Shape& shape, DType dtype) {
  return Tensor(random_uniform(shape, 0, 1, default_generator().take(shape.numel()), dtype));
}
Tensor randn(const Shape& shape, DType dtype) {
  return Tensor(random_normal(shape, 0, 1, default_generator().take(shape.numel()), dtype));
}

std::ostream& operator<<(std::ostream& out, const Tensor& tensor) {
  return out << to_string(tensor);
}

}  // namespace heed
