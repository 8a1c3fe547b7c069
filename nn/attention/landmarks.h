// The two parts of Nystrom attention that are not a softmax: means over segments of the valid
// tokens, and the iteration for a pseudo-inverse.
#pragma once

#include <heed/autograd/tensor.h>
#include <heed/core/lengths.h>

namespace heed::nn {

struct Landmarks {
  Tensor means;   // [B, H, m, D], m = max of counts; 0 beyond a row's count
  Lengths count;  // min(most, valid tokens) of each row
  // Counts as a mask's bound: undefined where all are m.
  Lengths end() const { return count.all_equal() ? Lengths() : count; }
};

// Row b's valid tokens of x [B, H, N, D], cut into min(most, valid) segments whose sizes differ by
// one at most, the longer ones first. Padding enters no mean, whatever it holds.
Landmarks segment_means(const Tensor& x, const Ranges& valid, int64_t most);

// Iterates towards the pseudo-inverse W^+ of each matrix W >= 0, [.., r, c] -> [.., c, r]:
//   Z_0 = W^T / (|W|_1 |W|_inf);  Z <- 1/4 Z (13 I - W Z (15 I - W Z (7 I - W Z)))
// (Razavi et al. 2014). Singular values too small for `iterations` stay damped. A zero matrix
// gives zeros. The first `single` <= iterations run in f32.
Tensor iterated_pseudo_inverse(const Tensor& w, int64_t iterations, int64_t single = 0);

}  // namespace heed::nn
