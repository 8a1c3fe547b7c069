#include <heed/autograd/ops/pool_windows.h>

#include <algorithm>

#include <heed/autograd/ops/spatial_axes.h>
#include <heed/core/error.h>

namespace heed {

namespace {

// One axis of a pooling op.
struct PoolAxis : SpatialAxis {
  void check(const char* op) const {
    SpatialAxis::check(op);
    if (padding > extent() / 2)
      throw ValueError(str(op, ": padding is ", padding, ", expected at most half of the kernel's ",
                           "extent of ", extent()));
  }

  int64_t out(bool ceil_mode) const {
    const int64_t room = padded() - extent();
    if (room < 0 && !(ceil_mode && room + stride > 0)) return 0;
    int64_t count = (room + (ceil_mode ? stride - 1 : 0)) / stride + 1;
    // The last window begins inside, or in the padding on the left.
    if (ceil_mode && (count - 1) * stride >= in + padding) --count;
    return count;
  }

  // The elements of window o that are inside: begin and count.
  std::pair<int64_t, int64_t> inside(int64_t o) const {
    const int64_t start = o * stride - padding;
    const int64_t first = start < 0 ? (-start + dilation - 1) / dilation : 0;
    const int64_t stop = start < in ? (in - start + dilation - 1) / dilation : 0;
    return {start + first * dilation, std::min(kernel, stop) - first};
  }
  // How many elements window o has with its padding: all but those behind the right one.
  int64_t with_padding(int64_t o) const {
    return std::min(o * stride - padding + kernel, in + padding) - (o * stride - padding);
  }
};

void no_option(const char* op, const char* what, bool given) {
  if (given) throw ValueError(str(op, ": there is no option `", what, "`"));
}

}  // namespace

std::vector<Windows> pool_windows(const char* op, const Tensor& x, int axes, const Shape& kernel,
                                  const PoolOptions& options, bool max) {
  require_map(op, x, axes);
  no_option(op, "count_include_pad", max && !options.count_include_pad);
  no_option(op, "divisor_override", max && options.divisor_override != 0);
  const Shape size = per_axis(op, "kernel", kernel, axes);
  const Shape stride =
      options.stride.rank() == 0 ? size : per_axis(op, "stride", options.stride, axes);
  const Shape padding = per_axis(op, "padding", options.padding, axes);
  const Shape dilation = per_axis(op, "dilation", options.dilation, axes);
  std::vector<Windows> list;
  for (int i = 0; i < axes; ++i) {
    const PoolAxis axis{{x.dim(2 + i), size[i], stride[i], padding[i], dilation[i]}};
    no_option(op, "dilation", !max && axis.dilation != 1);
    axis.check(op);
    const int64_t out = axis.out(options.ceil_mode);
    if (out <= 0)
      throw ShapeError(str(op, ": no output left: ", axis.in, " elements and padding ",
                           axis.padding, " are fewer than the kernel's extent of ", axis.extent(),
                           " in ", x.shape()));
    Windows w;
    w.in = axis.in;
    w.step = axis.dilation;
    w.begin.clear();
    w.count.clear();
    for (int64_t o = 0; o < out; ++o) {
      auto [begin, count] = axis.inside(o);
      if (count <= 0)
        throw ShapeError(str(op, ": window ", o, " lies in the padding alone: ", axis.in,
                             " elements, padding ", axis.padding, ", dilation ", axis.dilation));
      w.begin.push_back(begin);
      w.count.push_back(count);
    }
    w.widest = *std::max_element(w.count.begin(), w.count.end());
    if (w.widest == 1) w.step = 1;
    w.weight.clear();
    const bool own_divisor = options.divisor_override != 0;
    for (int64_t o = 0; o < out && !max; ++o) {
      const int64_t count = w.count[static_cast<size_t>(o)];
      const int64_t divisor = own_divisor                 ? (i == 0 ? options.divisor_override : 1)
                              : options.count_include_pad ? axis.with_padding(o)
                                                          : count;
      w.weight.push_back(1 / static_cast<double>(divisor));
    }
    list.push_back(std::move(w));
  }
  return list;
}

std::vector<Windows> adaptive_windows(const char* op, const Tensor& x, int axes,
                                      const Shape& output_size, bool max) {
  require_map(op, x, axes);
  const Shape size = per_axis(op, "output_size", output_size, axes);
  std::vector<Windows> list;
  for (int i = 0; i < axes; ++i) {
    const int64_t in = x.dim(2 + i), out = size[i];
    if (out < 1 || out > kLargestAxis)
      throw ValueError(str(op, ": output_size is ", output_size, ", expected 1 to ", kLargestAxis));
    Windows w;
    w.in = in;
    w.begin.clear();
    w.count.clear();
    w.weight.clear();
    for (int64_t o = 0; o < out; ++o) {
      const int64_t begin = o * in / out;
      w.begin.push_back(begin);
      w.count.push_back(((o + 1) * in + out - 1) / out - begin);
    }
    w.widest = *std::max_element(w.count.begin(), w.count.end());
    for (int64_t o = 0; o < out && !max; ++o)
      w.weight.push_back(1 / static_cast<double>(w.count[static_cast<size_t>(o)]));
    list.push_back(std::move(w));
  }
  return list;
}

}  // namespace heed
