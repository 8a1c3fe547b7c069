// Maps of another size, as torch.nn.functional.interpolate makes them (without antialiasing).
#pragma once

#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

enum class InterpolateMode {
  nearest,  // element floor(o scale)
  linear,   // between the two elements around each place; bilinear in two axes, trilinear in three
};

// Sizes have one for every axis after [B, C], or a single one for all of them. Just one of `size`
// and `scale_factor` is given.
struct InterpolateOptions {
  Shape size = {};
  std::vector<double> scale_factor = {};  // size floor(in factor), scale 1 / factor
  InterpolateMode mode = InterpolateMode::nearest;
  // linear alone. true: the first and last elements stay where they are, and output o lies at
  // o (in - 1) / (out - 1). false: at (o + 0.5) scale - 0.5, where scale is in / out.
  bool align_corners = false;
};

// x [B, C, L], [B, C, H, W] or [B, C, D, H, W], f32, f64 or bf16 (summed in f32) -> [B, C, ..].
// ShapeError: x of another rank, a list of sizes of another length. ValueError: sizes or factors
// out of range, both or none of them given, align_corners with nearest. DTypeError: other dtypes.
// Derivatives of any order.
//
//   Tensor twice = interpolate(x, {.scale_factor = {2}, .mode = InterpolateMode::linear});
Tensor interpolate(const Tensor& x, const InterpolateOptions& options);

}  // namespace heed
