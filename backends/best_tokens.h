// The likeliest next tokens of each row of logits, which beam search reads back.
#pragma once

#include <heed/backends/kernel.h>

// All arrays are contiguous:
//
//   logits           f32 [R, V]
//   log_sum          f32 [R]        log-sum-exp of each row
//   forbidden_begin  i64 [R + 1]    where each row's part of `forbidden` begins, and the last one's
//                                   end
//   forbidden        i64 [N]        tokens that a row leaves out, in rising order within the row
//   best             f64 [R, k, 2]  token and log-probability, best first, ties by the lower token
//
// The token is -1 where a row has no more. A row whose log-sum-exp is +inf or NaN gets NaN.
HEED_KERNEL_ONCE(best_tokens,
                 void(const Array& logits, const Array& log_sum, const Array& forbidden_begin,
                      const Array& forbidden, const Array& best));
