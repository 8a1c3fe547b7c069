// Softmax and log-softmax along one axis (not negative). f32, f64, bf16; all arrays contiguous.
#pragma once

#include <heed/backends/kernel.h>

// out may be x.
HEED_KERNEL(softmax, void(const Array& x, int axis, bool is_log, const Array& out));
// softmax: grad = y (g - sum g y). is_log: grad = g - exp(y) sum g. y is forward's result; grad may
// be g.
HEED_KERNEL(softmax_backward,
            void(const Array& y, const Array& cotangent, int axis, bool is_log, const Array& grad));
