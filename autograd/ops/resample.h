// Weighted sums through windows, the mechanism of average pooling and interpolation: an op of its
// own name derives from Resample. Not for users.
//
// x [B, C, ..] with one to three further axes -> [B, C, ..]. The sums are linear and of each axis
// by itself, so their gradient is the same op with transposed windows, to any order.
#pragma once

#include <heed/autograd/ops/windows.h>
#include <heed/autograd/tape.h>

namespace heed {

struct Resample {
  static constexpr unsigned saves = 0;
  Shape to;         // of the result
  Windows axes[3];  // depth, height, width

  Array forward(Inputs in);
};

// The op as it appears on the tape: `Name::name` is what users call it.
template <class Name>
struct NamedResample : Resample {
  static constexpr const char* name = Name::name;
  void vjp(Vjp& v) {
    NamedResample back{
        {v.shape(0), {axes[0].transposed(), axes[1].transposed(), axes[2].transposed()}}};
    v.add(0, apply(std::move(back), v.cotangent()));
  }
};

// The op through `axes`, one for each axis after [B, C].
template <class Name>
Tensor resample(const Tensor& x, const std::vector<Windows>& axes) {
  NamedResample<Name> op;
  op.to = {x.dim(0), x.dim(1)};
  size_t first = 3 - axes.size();
  for (size_t i = 0; i < axes.size(); ++i) {
    op.axes[first + i] = axes[i];
    op.to.push_back(axes[i].out());
  }
  merge_whole(op.axes, true);
  return apply(std::move(op), x);
}

}  // namespace heed
