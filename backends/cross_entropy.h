// Cross-entropy on logits [rows, V] with class targets i64 [rows], label smoothing e:
//
//   loss = lse(x) - (1 - e) x_target - e mean(x)   and 0 where the target is ignored
//
// A target outside [0, V) is ignored like ignore_index. Callers refuse one on the CPU; on other
// devices they cannot (autograd/ops/range_flag.h).
// f32, f64, bf16; all arrays contiguous. For bf16, losses, shift, log_sum, total and cotangent are
// f32.
#pragma once

#include <heed/backends/kernel.h>

// Index of the first target outside [0, classes) that is not ignore_index; -1 if there is none.
HEED_KERNEL_ONCE(first_bad_target,
                 int64_t(const Array& target, int64_t classes, int64_t ignore_index));

// losses [rows]. shift and log_sum [rows]: their sum is lse(x), which is kept in two parts since
// the sum would round. counted f64 []: the number of targets that are not ignored, at least 1.
HEED_KERNEL(cross_entropy, void(const Array& logits, const Array& target, double smoothing,
                                int64_t ignore_index, const Array& losses, const Array& shift,
                                const Array& log_sum, const Array& counted));
// total [] = sum of losses / divisor; `divisor` f64 [] or undefined: 1.
HEED_KERNEL(loss_total, void(const Array& losses, const Array& divisor, const Array& total));
// grad = g (softmax(x) - (1 - e) onehot(target) - e / V) / divisor, and 0 where ignored;
// g = cotangent [rows] or []. grad may be logits.
HEED_KERNEL(cross_entropy_backward,
            void(const Array& logits, const Array& target, double smoothing, int64_t ignore_index,
                 const Array& shift, const Array& log_sum, const Array& cotangent,
                 const Array& divisor, const Array& grad));
