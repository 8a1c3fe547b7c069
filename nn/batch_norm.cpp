#include <heed/nn/batch_norm.h>

#include <heed/autograd/ops/batch_norm.h>
#include <heed/autograd/recompute.h>
#include <heed/core/error.h>

namespace heed::nn {

BatchNorm::BatchNorm(int64_t channels, const BatchNormSettings& settings, const char* name,
                     int min_rank, int max_rank)
    : channels_(channels),
      settings_(settings),
      name_(name),
      min_rank_(min_rank),
      max_rank_(max_rank) {
  if (channels < 1)
    throw ValueError(str(name, ": the number of channels must be positive, got ", channels));
  if (!(settings.eps >= 0)) throw ValueError(str(name, ": eps is ", settings.eps));
  if (settings.momentum && !(*settings.momentum >= 0 && *settings.momentum <= 1))
    throw ValueError(str(name, ": momentum is ", *settings.momentum, ", expected 0 to 1"));
  if (settings.affine) {
    weight = ones({channels});
    bias = zeros({channels});
  }
  register_parameter("weight", weight);
  register_parameter("bias", bias);
  if (!settings.track_running_stats) return;
  const DType dtype = accumulate_dtype(default_dtype());
  running_mean = zeros({channels}, dtype);
  running_var = ones({channels}, dtype);
  num_batches_tracked = zeros({}, DType::i64);
  register_running("running_mean", running_mean);
  register_running("running_var", running_var);
  register_running("num_batches_tracked", num_batches_tracked);
}

Tensor BatchNorm::forward(const Tensor& x) const { return run(x, false, Tensor()); }
Tensor BatchNorm::forward_relu(const Tensor& x) const { return run(x, true, Tensor()); }
Tensor BatchNorm::forward_add_relu(const Tensor& x, const Tensor& residual) const {
  return run(x, true, residual);
}

Tensor BatchNorm::run(const Tensor& x, bool relu, const Tensor& residual) const {
  auto scope = enter();
  if (x.rank() < min_rank_ || (max_rank_ > 0 && x.rank() > max_rank_) || x.dim(1) != channels_) {
    std::string rank = str(min_rank_);
    if (max_rank_ > min_rank_) rank += str(" or ", max_rank_);
    if (max_rank_ == 0) rank += " or more";
    throw ShapeError(
        str(name_, ": x [B, ", channels_, ", ...] of ", rank, " axes expected, got ", x.shape()));
  }
  BatchNormOptions options{settings_.eps, relu, residual};
  const bool tracked = running_mean.defined();
  if (!is_training() && tracked)
    return batch_norm(x, running_mean, running_var, weight, bias, options);  // x's shape
  auto [y, mean, var] = batch_norm_training(x, weight, bias, options);
  if (is_training() && tracked && !recomputing())
    update_running_(mean, var, settings_.momentum, running_mean, running_var, num_batches_tracked);
  return y;
}

std::string BatchNorm::type_name() const { return str(name_, "(", channels_, ")"); }

}  // namespace heed::nn
