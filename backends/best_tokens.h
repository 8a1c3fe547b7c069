// The likeliest next tokens of each row of logits; what beam search reads back.
#pragma once

#include <heed/backends/kernel.h>

// logits f32 [R, V], log_sum f32 [R]: the log-sum-exp of each row, never [N] and never_begin [R + 1]
// i64: row r leaves out the tokens never[never_begin[r] .. never_begin[r + 1]), in rising order. All
// contiguous. best f64 [R, k, 2]: token and log-probability, best first, ties by the lower token;
// token -1 where a row has no more. A row whose log-sum-exp is +inf or NaN gets NaN.
HEED_KERNEL_ONCE(best_tokens,
                 void(const Array& logits, const Array& log_sum, const Array& never_begin,
                      const Array& never, const Array& best));
