#include <heed/autograd/ops/spatial_axes.h>

#include <heed/autograd/ops/operand.h>
#include <heed/core/error.h>

namespace heed {

void SpatialAxis::check(const char* op) const {
  constexpr int64_t kMost = int64_t{1} << 40;
  auto at_least = [&](const char* what, int64_t value, int64_t least) {
    if (value < least)
      throw ValueError(str(op, ": ", what, " is ", value, ", expected >= ", least));
  };
  at_least("kernel", kernel, 1);
  at_least("stride", stride, 1);
  at_least("padding", padding, 0);
  at_least("dilation", dilation, 1);
  if (kernel > kMost || stride > kMost || padding > kMost || dilation > kMost / kernel)
    throw ValueError(str(op, ": kernel ", kernel, ", stride ", stride, ", padding ", padding,
                         " or dilation ", dilation, " is too large"));
}

Shape per_axis(const char* op, const char* what, const Shape& sizes, int axes) {
  if (sizes.rank() == axes) return sizes;
  if (sizes.rank() == 1) return Shape::filled(axes, sizes[0]);
  throw ShapeError(str(op, ": ", what, " ", sizes, " has ", sizes.rank(), " sizes, expected 1 or ",
                       axes, ", one for each axis after [B, C]"));
}

void require_map(const char* op, const Tensor& x, int axes) {
  constexpr const char* kMaps[] = {"[B, C, L]", "[B, C, H, W]", "[B, C, D, H, W]"};
  require_floating(op, x.array());
  if (x.rank() != axes + 2)
    throw ShapeError(str(op, ": ", kMaps[axes - 1], " expected, got ", x.shape()));
  for (int i = 0; i < axes; ++i)
    if (x.dim(2 + i) == 0)
      throw ShapeError(
          str(op, ": an axis without elements in ", x.shape(), "; only B and C may be 0"));
}

}  // namespace heed
