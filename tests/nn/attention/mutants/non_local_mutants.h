// The functions of non-local blocks: two defects.
#pragma once

#include <heed/tests/nn/attention/mutants/mutant.h>

namespace heed::test {

// The number of visible keys of each query, [B or 1, H or 1, T, 1], at least 1.
inline Tensor visible_count(const Seen& s) {
  return clamp(sum(as_number(s.visible(), s.q.dtype()), {3}, true), 1, 1e9);
}

// q . k / N over the visible pairs. Flawed, N counts padding too, as q k^T / k.size(-1) does.
inline Tensor divided_by_count(const Seen& s, bool counts_padding) {
  Tensor map = matmul(s.clean_q(), s.clean_k().transpose(2, 3));  // [B, H, T, S]
  map = where(s.visible(), map, 0.0);
  map = counts_padding ? map / static_cast<double>(s.k.dim(2)) : map / visible_count(s);
  return matmul(map, s.clean_v());
}

// relu(sum q + sum k) / N over the visible pairs. Flawed, relu takes each of the two by itself.
inline Tensor added_scores(const Seen& s, bool relu_of_each) {
  Tensor a = sum(s.clean_q(), {3}, true);                  // [B, H, T, 1]
  Tensor b = sum(s.clean_k(), {3}, true).transpose(2, 3);  // [B, H, 1, S]
  Tensor map = relu_of_each ? relu(a) + relu(b) : relu(a + b);
  return matmul(where(s.visible(), map / visible_count(s), 0.0), s.clean_v());
}

}  // namespace heed::test
