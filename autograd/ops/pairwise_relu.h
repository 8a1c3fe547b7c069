// Values weighted by the rectified sum of a number of the query and one of the key, without the
// T x S map (the concatenation form of Wang et al. 2018, arXiv 1711.07971):
//
//   y_i = sum_j relu(a_i + b_j) v_j
//
//   Tensor y = pairwise_relu(a, b, v);   // [B, H, T, E]
//
// a [B, H, T], b [B, H, S], v [B, Hkv, S, E], Hkv divides H; f32, f64, bf16 (computed in f32);
// strided. Head h reads the values of head h / (H / Hkv). With the keys in order of b, row i is
// a_i G + K with G = sum v_j and K = sum b_j v_j over the first keys, those with b_j > -a_i: time
// O(T log T + S log S + (T + S) E), memory O(T + S). G and K are held in double. The gradients have
// the same form with a and b in each other's place; a pair whose sum is 0 has derivative 0, as in
// relu. The result is a view of memory in the order [B, T, H, E], as that of fused_attention.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed {

// ShapeError or DTypeError name the operand and what was expected.
Tensor pairwise_relu(const Tensor& a, const Tensor& b, const Tensor& v);
// Composed of primitives: O(T S) memory.
Tensor pairwise_relu_reference(const Tensor& a, const Tensor& b, const Tensor& v);

}  // namespace heed
