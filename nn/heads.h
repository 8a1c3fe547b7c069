// Tokens of all heads side by side, and heads apart: views, nothing is copied.
#pragma once

#include <heed/autograd/tensor.h>

namespace heed::nn {

// [B, T, H D] -> [B, H, T, D]
inline Tensor split_heads(const Tensor& x, int64_t heads) {
  return x.reshape({x.dim(0), x.dim(1), heads, x.dim(2) / heads}).permute({0, 2, 1, 3});
}

// [B, H, T, D] -> [B, T, H D]; the fused op lays its result out as [B, T, H, D] in memory.
inline Tensor merge_heads(const Tensor& x) {
  const Tensor rows = x.permute({0, 2, 1, 3});  // [B, T, H, D]
  return rows.reshape({rows.dim(0), rows.dim(1), rows.dim(2) * rows.dim(3)});
}

}  // namespace heed::nn
