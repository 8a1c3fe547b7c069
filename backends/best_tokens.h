// The likeliest next tokens of each row of logits, which beam search reads back.
#pragma once

#include <heed/backends/kernel.h>

// All arrays are contiguous:
//
//   logits           f32 [R, V]
//   log_sum          f32 [R]        log-sum-exp of each row
//   forbidden_begin  i64 [R + 1]    row r leaves out the tokens forbidden[i], for i from
//                                   forbidden_begin[r] up to, not including, forbidden_begin[r + 1]
//   forbidden        i64 [N]        tokens, in rising order within a row
//   best             f64 [R, k, 2]  token and log-probability, best first, ties by the lower token
//
// The token is -1 where a row has no more. A row whose log-sum-exp is +inf or NaN gets NaN.
HEED_KERNEL_ONCE(best_tokens,
                 void(const Array& logits, const Array& log_sum, const Array& forbidden_begin,
                      const Array& forbidden, const Array& best));
