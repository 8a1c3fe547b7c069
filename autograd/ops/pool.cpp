#include <heed/autograd/ops/pool.h>

#include <limits>

#include <heed/autograd/ops/gather.h>
#include <heed/autograd/ops/operand.h>
#include <heed/autograd/ops/pool_windows.h>
#include <heed/autograd/ops/resample.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/backends/pool.h>

namespace heed {

namespace {

constexpr const char* kMaxPool[] = {"max_pool1d", "max_pool2d", "max_pool3d"};
constexpr const char* kAvgPool[] = {"avg_pool1d", "avg_pool2d", "avg_pool3d"};
constexpr const char* kAdaptiveMaxPool[] = {"adaptive_max_pool1d", "adaptive_max_pool2d",
                                            "adaptive_max_pool3d"};
constexpr const char* kAdaptiveAvgPool[] = {"adaptive_avg_pool1d", "adaptive_avg_pool2d",
                                            "adaptive_avg_pool3d"};

// x as [P, N], a row for each map of `axes` axes.
Shape flat(const Shape& x, int axes) {
  int64_t planes = 1, size = 1;
  for (int i = 0; i < x.rank(); ++i) (i < x.rank() - axes ? planes : size) *= x[i];
  return {planes, size};
}

// [P, M], index i32 [P, M] -> [P, size]: each number at its place, those at one place summed up.
struct MaxPoolBackward {
  static constexpr const char* name = "max_pool_backward";
  static constexpr unsigned saves = 2;
  int64_t size;

  Array forward(Inputs in) {
    Array to = in[0].new_empty({in[0].dim(0), size});
    kernels::max_pool_backward(packed(in[0]), in[1], to);
    return to;
  }
  void vjp(Vjp& v) {
    if (v.needs(0)) v.add(0, gather(v.cotangent(), 1, v.input(1)));
  }
};

// The second output is the place of each maximum in its map.
template <const char* const* kNames, int kAxes>
struct MaxPool {
  static constexpr const char* name = kNames[kAxes - 1];
  static constexpr unsigned saves = output_bit(1);
  Shape to;
  Windows axes[3];  // depth, height, width

  std::array<Array, 2> forward(Inputs in) {
    const Array& x = in[0];
    Array out = x.new_empty(to), index = x.new_empty(to, DType::i32);
    auto on = [&](const Windows& axis) { return axis.on(x.device(), x.dtype(), false); };
    kernels::max_pool(packed(x), on(axes[0]), on(axes[1]), on(axes[2]), out, index);
    return {out, index};
  }
  void vjp(Vjp& v) {
    const Shape rows = flat(to, kAxes);
    Tensor dx = apply(MaxPoolBackward{flat(v.shape(0), kAxes)[1]}, reshape(v.cotangent(0), rows),
                      reshape(v.output(1), rows));
    v.add(0, reshape(dx, v.shape(0)));
  }
};

template <const char* const* kNames, int kAxes>
Tensor max_through(const Tensor& x, const std::vector<Windows>& axes) {
  using Op = MaxPool<kNames, kAxes>;
  Op op;
  op.to = {x.dim(0), x.dim(1)};
  for (int i = 0; i < kAxes; ++i) {
    op.axes[3 - kAxes + i] = axes[static_cast<size_t>(i)];
    op.to.push_back(axes[static_cast<size_t>(i)].out());
  }
  if (int64_t size = flat(x.shape(), kAxes)[1]; size > std::numeric_limits<int32_t>::max())
    throw ShapeError(str(Op::name, ": ", size, " elements a channel, at most 2^31 - 1 expected"));
  merge_whole(op.axes, false);
  return apply(std::move(op), x)[0];
}

template <const char* const* kNames, int kAxes>
struct Named {
  static constexpr const char* name = kNames[kAxes - 1];
};

template <int kAxes>
Tensor max_pool(const Tensor& x, const Shape& kernel, const PoolOptions& o) {
  return max_through<kMaxPool, kAxes>(x,
                                      pool_windows(kMaxPool[kAxes - 1], x, kAxes, kernel, o, true));
}
template <int kAxes>
Tensor avg_pool(const Tensor& x, const Shape& kernel, const PoolOptions& o) {
  return resample<Named<kAvgPool, kAxes>>(
      x, pool_windows(kAvgPool[kAxes - 1], x, kAxes, kernel, o, false));
}
template <int kAxes>
Tensor adaptive_max_pool(const Tensor& x, const Shape& size) {
  return max_through<kAdaptiveMaxPool, kAxes>(
      x, adaptive_windows(kAdaptiveMaxPool[kAxes - 1], x, kAxes, size, true));
}
template <int kAxes>
Tensor adaptive_avg_pool(const Tensor& x, const Shape& size) {
  return resample<Named<kAdaptiveAvgPool, kAxes>>(
      x, adaptive_windows(kAdaptiveAvgPool[kAxes - 1], x, kAxes, size, false));
}

}  // namespace

using Options = const PoolOptions&;
Tensor max_pool1d(const Tensor& x, const Shape& k, Options o) { return max_pool<1>(x, k, o); }
Tensor max_pool2d(const Tensor& x, const Shape& k, Options o) { return max_pool<2>(x, k, o); }
Tensor max_pool3d(const Tensor& x, const Shape& k, Options o) { return max_pool<3>(x, k, o); }
Tensor avg_pool1d(const Tensor& x, const Shape& k, Options o) { return avg_pool<1>(x, k, o); }
Tensor avg_pool2d(const Tensor& x, const Shape& k, Options o) { return avg_pool<2>(x, k, o); }
Tensor avg_pool3d(const Tensor& x, const Shape& k, Options o) { return avg_pool<3>(x, k, o); }

Tensor adaptive_avg_pool1d(const Tensor& x, const Shape& s) { return adaptive_avg_pool<1>(x, s); }
Tensor adaptive_avg_pool2d(const Tensor& x, const Shape& s) { return adaptive_avg_pool<2>(x, s); }
Tensor adaptive_avg_pool3d(const Tensor& x, const Shape& s) { return adaptive_avg_pool<3>(x, s); }
Tensor adaptive_max_pool1d(const Tensor& x, const Shape& s) { return adaptive_max_pool<1>(x, s); }
Tensor adaptive_max_pool2d(const Tensor& x, const Shape& s) { return adaptive_max_pool<2>(x, s); }
Tensor adaptive_max_pool3d(const Tensor& x, const Shape& s) { return adaptive_max_pool<3>(x, s); }

}  // namespace heed
