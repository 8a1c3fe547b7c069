// Weighted sums through windows, one axis after the other: average pooling, interpolation and the
// gradients of both.
#pragma once

#include <heed/backends/windows.h>

// x [P, depth.in, height.in, width.in] -> out [P, depth.out, height.out, width.out], contiguous,
// of one dtype, f32, f64 or bf16 (summed in f32):
//
//   out[p, d, h, w] = sum over the windows of d, h, w of
//                     depth.weights height.weights width.weights x[p, .., .., ..]
//
// The axes have weights and step 1. A window without elements gives 0.
HEED_KERNEL(resample, void(const Array& x, const WindowAxis& depth, const WindowAxis& height,
                           const WindowAxis& width, const Array& out));
