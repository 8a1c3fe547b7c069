// The likeliest next tokens of each row of logits, which beam search reads back.
#pragma once

#include <heed/backends/kernel.h>

// All arrays are contiguous:
//
//   logits       f32 [R, V]
//   log_sum      f32 [R]        log-sum-exp of each row
//   never_begin  i64 [R + 1]    row r leaves out tokens never[never_begin[r] .. never_begin[r + 1])
//   never        i64 [N]        tokens, in rising order within a row
//   best         f64 [R, k, 2]  token and log-probability, best first, ties by the lower token
//
// The token is -1 where a row has no more. A row whose log-sum-exp is +inf or NaN gets NaN.
HEED_KERNEL_ONCE(best_tokens,
                 void(const Array& logits, const Array& log_sum, const Array& never_begin,
                      const Array& never, const Array& best));
