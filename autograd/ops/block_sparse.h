// Sparse products over a block layout (block_layout.h) of N blocks of b x b pairs. Only the values
// of existing blocks are stored, [B, H, N, b, b] in the layout's order: memory grows with N, not
// with T S. Composed of gathered blocks and batched products, so derivatives of any order exist.
//
//   Tensor s = sampled_product(q, k, *layout) * scale;      // Q K^T where the layout has blocks
//   Tensor o = block_sparse_product(block_softmax(s, *layout), v, *layout);   // [B, H, T, E]
//
// f32, f64, bf16. ShapeError where operands do not fit the layout's T, S, N or b.
#pragma once

#include <heed/autograd/ops/block_layout.h>
#include <heed/autograd/tensor.h>

namespace heed {

// q [B, H, T, D], k [B, H, S, D] -> values[.., n, i, j] = q_(r b + i) . k_(c b + j) for block n at
// (r, c). Hidden pairs of partial blocks are computed too; beyond T and S there are zeros.
Tensor sampled_product(const Tensor& q, const Tensor& k, const BlockLayout& layout);
// Softmax of each query's row over the pairs that the layout keeps; 0 elsewhere, and in rows
// without any. Hidden values affect nothing, even NaN.
Tensor block_softmax(const Tensor& values, const BlockLayout& layout);
// values [B, H, N, b, b], v [B, H, S, E] -> [B, H, T, E]: the block-sparse matrix times v.
Tensor block_sparse_product(const Tensor& values, const Tensor& v, const BlockLayout& layout);

}  // namespace heed
