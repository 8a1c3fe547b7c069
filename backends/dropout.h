// Dropout. Element i, in row-major order, is dropped where uniform(key, i) < p; kept elements are
// scaled by s = 1 / (1 - p), or 0 for p = 1. f32, f64, bf16; all arrays contiguous; out may be any
// input.
#pragma once

#include <heed/backends/kernel.h>
#include <heed/core/random.h>

// out = residual + mask activation(x), mask = 0 or s; activation: relu or none. `residual`
// undefined: 0.
HEED_KERNEL(dropout, void(const Array& x, const Array& residual, bool relu, double p, RandomKey key,
                          const Array& out));
// grad = y > 0 ? s cotangent : 0. y, the result of forward, shows the mask: no numbers are drawn.
HEED_KERNEL(relu_dropout_backward,
            void(const Array& y, const Array& cotangent, double p, const Array& grad));
// out = 0 or s, the mask itself.
HEED_KERNEL(dropout_mask, void(double p, RandomKey key, const Array& out));
