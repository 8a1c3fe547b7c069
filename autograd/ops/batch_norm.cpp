#include <heed/autograd/ops/batch_norm.h>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/widen.h>
#include <heed/autograd/tape.h>
#include <heed/backends/batch_norm.h>

namespace heed {

namespace {

// x as kernels take it, [B, C, S]. Where S is short, [1, C, B S]: rows of a few numbers would waste
// the vectors.
class Maps {
 public:
  explicit Maps(const Shape& shape) : shape_(shape) {
    int64_t batch = shape[0], channels = shape[1];
    int64_t size = batch * channels == 0 ? 0 : shape.numel() / (batch * channels);
    flat_ = {batch, channels, size};
    transposed_ = batch > 1 && size < kShort;
  }
  Array in(const Array& x) const {
    if (!x.defined()) return x;
    Array flat = packed(x).view(flat_);
    if (!transposed_) return flat;
    return packed(flat.transpose(0, 1)).view({1, flat_[1], flat_[0] * flat_[2]});
  }
  Array in(const Tensor& x) const { return x.defined() ? in(x.array()) : Array(); }
  Array like(const Array& flat) const { return flat.new_empty(flat.shape()); }
  Array out(const Array& y) const {
    if (!y.defined() || !transposed_) return y.defined() ? y.view(shape_) : y;
    return packed(y.view({flat_[1], flat_[0], flat_[2]}).transpose(0, 1)).view(shape_);
  }

 private:
  static constexpr int64_t kShort = 8;
  Shape shape_, flat_;
  bool transposed_;
};

// The gradient behind relu, and the gradient by weight and so on through the composition at the
// inputs saved. relu's mask is that of the result, so the residual's value is not needed.
template <class Reference>
void vjp_by_reference(Vjp& v, bool relu, int residual, Reference reference) {
  Tensor mask;
  if (relu) mask = greater(v.output().detach(), 0).to(v.dtype(0));
  auto behind = [&](const Tensor& t) { return relu ? t * mask : t; };
  std::vector<Tensor> in;
  for (int i = 0; i < residual; ++i)
    in.push_back(v.needs(i) ? v.input(i) : v.saved(i) ? v.input(i).detach() : Tensor());
  std::vector<Tensor> gradients = reference_gradients(
      v, [&](const std::vector<Tensor>& at) { return behind(reference(at)); }, in);
  for (int i = 0; i < residual; ++i)
    if (gradients[static_cast<size_t>(i)].defined()) v.add(i, gradients[static_cast<size_t>(i)]);
  if (v.needs(residual)) v.add(residual, behind(v.cotangent()));
}

// The gradients by x, weight, bias (inputs 0, 1, 2) and the residual.
void vjp_by_kernel(Vjp& v, bool relu, int residual, const Array& statistics, bool constant) {
  Maps maps(v.shape(0));
  Array x = maps.in(v.input(0)), weight = v.saved(1) ? packed(v.input(1)) : Array();
  Array out = relu ? maps.in(v.output()) : Array(), dx, dresidual, dweight, dbias;
  if (v.needs(0)) dx = maps.like(x);
  if (v.needs(residual) && relu) dresidual = maps.like(x);
  if (v.needs(1)) dweight = x.new_zeros({x.dim(1)});
  if (v.needs(2)) dbias = x.new_zeros({x.dim(1)});
  kernels::batch_norm_backward(x, weight, statistics, out, maps.in(v.cotangent()), constant, dx,
                               dresidual, dweight, dbias);
  if (v.needs(0)) v.add(0, Tensor(maps.out(dx)));
  if (v.needs(1)) v.add(1, Tensor(dweight));
  if (v.needs(2)) v.add(2, Tensor(dbias));
  if (v.needs(residual)) v.add(residual, relu ? Tensor(maps.out(dresidual)) : v.cotangent());
}

// Inputs: x, weight, bias, residual. Saved: x, weight, bias, behind relu the result, and mean and
// 1 / sqrt(var + eps).
template <bool kRelu>
struct BatchNormTraining {
  static constexpr const char* name = "batch_norm_training";
  static constexpr unsigned saves = 0b0111 | (kRelu ? kOutput : 0);
  double eps;
  Array statistics, mean, var;  // mean and var are for the caller

  Array forward(Inputs in) {
    Maps maps(in[0].shape());
    Array x = maps.in(in[0]), out = maps.like(x);
    kernels::batch_norm(x, maps.in(in.tensor(3)), packed(in.tensor(1)), packed(in.tensor(2)), eps,
                        kRelu, statistics, mean, var, out);
    return maps.out(out);
  }

  void vjp(Vjp& v) {
    if (!v.create_graph()) return vjp_by_kernel(v, kRelu, 3, statistics, false);
    vjp_by_reference(v, kRelu, 3, [&](const std::vector<Tensor>& in) {
      return batch_norm_training_reference(in[0], in[1], in[2], {.eps = eps});
    });
  }
};

// Inputs: x, weight, bias, mean, var, residual. Saved as above; backward uses the statistics of
// forward, whatever becomes of mean and var after it, second derivatives ask for them again.
template <bool kRelu>
struct BatchNorm {
  static constexpr const char* name = "batch_norm";
  static constexpr unsigned saves = 0b011111 | (kRelu ? kOutput : 0);
  double eps;
  Array statistics;

  Array forward(Inputs in) {
    Maps maps(in[0].shape());
    Array x = maps.in(in[0]), out = maps.like(x);
    statistics = x.new_empty({2, x.dim(1)}, DType::f64);
    kernels::batch_norm_given(x, maps.in(in.tensor(5)), packed(in.tensor(1)), packed(in.tensor(2)),
                              packed(in[3]), packed(in[4]), eps, kRelu, statistics, out);
    return maps.out(out);
  }

  void vjp(Vjp& v) {
    if (!v.create_graph()) return vjp_by_kernel(v, kRelu, 5, statistics, true);
    vjp_by_reference(v, kRelu, 5, [&](const std::vector<Tensor>& in) {
      return batch_norm_reference(in[0], in[3], in[4], in[1], in[2], {.eps = eps});
    });
  }
};

void check(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias,
           const BatchNormOptions& options) {
  require_floating(op, x.array());
  if (x.rank() < 2) throw ShapeError(str(op, ": x [B, C, ...] expected, got ", x.shape()));
  if (!(options.eps >= 0)) throw ValueError(str(op, ": eps is ", options.eps, ", expected >= 0"));
  require_vector(op, "weight", weight, x.dim(1), x.dtype());
  require_vector(op, "bias", bias, x.dim(1), x.dtype());
  const Tensor& residual = options.residual;
  if (!residual.defined()) return;
  if (!(residual.shape() == x.shape()))
    throw ShapeError(str(op, ": x ", x.shape(), " and residual ", residual.shape(), " differ"));
  if (residual.dtype() != x.dtype())
    throw DTypeError(str(op, ": x is ", x.dtype(), ", residual is ", residual.dtype()));
}

// [C] as [1, C, 1, ...], in the number type that ops compute in.
Tensor per_channel(const Tensor& vector, const Tensor& x) {
  Shape sizes = Shape::filled(x.rank(), 1);
  sizes[1] = -1;
  return widened(vector.reshape(sizes));
}

// act((x - mean) factor weight + bias + residual), rounded once.
Tensor composed(const Tensor& x, const Tensor& mean, const Tensor& factor, const Tensor& weight,
                const Tensor& bias, const BatchNormOptions& options) {
  Tensor y = (widened(x) - mean) * factor;
  if (weight.defined()) y = y * per_channel(weight, x);
  if (bias.defined()) y = y + per_channel(bias, x);
  if (options.residual.defined()) y = y + widened(options.residual);
  return (options.relu ? relu(y) : y).to(x.dtype());
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& mean, const Tensor& var, const Tensor& weight,
                  const Tensor& bias, const BatchNormOptions& options) {
  const char* op = "batch_norm";
  check(op, x, weight, bias, options);
  for (const auto& [what, statistic] : {std::pair{"mean", &mean}, std::pair{"var", &var}}) {
    if (!statistic->defined()) throw ValueError(str(op, ": ", what, " is undefined"));
    if (!(statistic->shape() == Shape{x.dim(1)}))
      throw ShapeError(
          str(op, ": ", what, " of shape [", x.dim(1), "] expected, got ", statistic->shape()));
    if (statistic->dtype() != accumulate_dtype(x.dtype()))
      throw DTypeError(str(op, ": ", what, " is ", statistic->dtype(), ", ",
                           accumulate_dtype(x.dtype()), " expected for x of ", x.dtype()));
    if (statistic->requires_grad())
      throw GradError(str(op, ": ", what, " requires a gradient, but is a constant here; detach ",
                          "it, or see batch_norm_training"));
  }
  if (options.relu)
    return apply(BatchNorm<true>{options.eps, {}}, x, weight, bias, mean, var, options.residual);
  return apply(BatchNorm<false>{options.eps, {}}, x, weight, bias, mean, var, options.residual);
}

BatchNormOutput batch_norm_training(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                    const BatchNormOptions& options) {
  const char* op = "batch_norm_training";
  check(op, x, weight, bias, options);
  const int64_t channels = x.dim(1), values = channels == 0 ? 2 : x.numel() / channels;
  if (values < 2)
    throw ValueError(str(op, ": expected more than 1 value per channel when training, got ",
                         x.shape(),
                         "; a larger batch, or eval mode where nothing is to be learned"));
  const DType dtype = accumulate_dtype(x.dtype());
  Array statistics = x.array().new_empty({2, channels}, DType::f64);
  Array mean = x.array().new_empty({channels}, dtype), var = mean.new_empty({channels});
  auto run = [&](auto with) { return apply(std::move(with), x, weight, bias, options.residual); };
  Tensor y = options.relu ? run(BatchNormTraining<true>{options.eps, statistics, mean, var})
                          : run(BatchNormTraining<false>{options.eps, statistics, mean, var});
  return {y, Tensor(mean), Tensor(var)};
}

void update_running_(const Tensor& mean, const Tensor& var, std::optional<double> momentum,
                     const Tensor& running_mean, const Tensor& running_var,
                     const Tensor& num_batches_tracked) {
  const char* op = "update_running_";
  if (momentum && !(*momentum >= 0 && *momentum <= 1))
    throw ValueError(str(op, ": momentum is ", *momentum, ", expected 0 to 1"));
  for (const Tensor* t : {&mean, &var, &running_mean, &running_var}) {
    if (t->rank() != 1 || !(t->shape() == mean.shape()))
      throw ShapeError(str(op, ": four vectors of one size expected, got ", mean.shape(), ", ",
                           var.shape(), ", ", running_mean.shape(), ", ", running_var.shape()));
    if (!t->array().is_contiguous())
      throw ShapeError(str(op, ": contiguous vectors expected, got one of ", t->shape(),
                           " with stride ", t->array().strides()[0]));
    if (t->dtype() != mean.dtype() || (t->dtype() != DType::f32 && t->dtype() != DType::f64))
      throw DTypeError(str(op, ": four vectors of f32 or of f64 expected, got ", mean.dtype(), ", ",
                           var.dtype(), ", ", running_mean.dtype(), ", ", running_var.dtype()));
  }
  if (num_batches_tracked.dtype() != DType::i64)
    throw DTypeError(
        str(op, ": num_batches_tracked is ", num_batches_tracked.dtype(), ", i64 expected"));
  if (num_batches_tracked.rank() != 0)
    throw ShapeError(
        str(op, ": num_batches_tracked of shape [] expected, got ", num_batches_tracked.shape()));
  kernels::update_running(mean.array(), var.array(), momentum, running_mean.array(),
                          running_var.array(), num_batches_tracked.array());
  for (const Tensor* changed : {&running_mean, &running_var, &num_batches_tracked})
    changed->array().storage().bump_version();
}

Tensor batch_norm_reference(const Tensor& x, const Tensor& mean, const Tensor& var,
                            const Tensor& weight, const Tensor& bias,
                            const BatchNormOptions& options) {
  return composed(x, per_channel(mean, x), rsqrt(per_channel(var, x) + options.eps), weight, bias,
                  options);
}

Tensor batch_norm_training_reference(const Tensor& x, const Tensor& weight, const Tensor& bias,
                                     const BatchNormOptions& options) {
  Shape over;
  for (int i = 0; i < x.rank(); ++i)
    if (i != 1) over.push_back(i);
  Tensor wide = widened(x), center = mean(wide, over, true);
  return composed(x, center, rsqrt(var(wide, over, true, 0) + options.eps), weight, bias, options);
}

}  // namespace heed
