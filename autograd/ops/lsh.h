// The search of LSH attention (Kitaev et al. 2020, arXiv 2001.04451): which keys each query may
// attend to, given the buckets that queries and keys were hashed to. No gradient.
#pragma once

#include <heed/autograd/tensor.h>
#include <heed/core/lengths.h>

namespace heed {

struct LshSearch {
  int64_t chunk = 64, buckets = 2;
  bool causal = false;
  // Of each batch row: valid keys and queries [begin, end), and query i stands at key i + offset.
  Lengths key_begin, key_end, query_begin, query_end, offset;
  int64_t length = 0;  // of the lists
};

// query_hash i32 [B, H, rounds, T], key_hash i32 [B, H, rounds, S], buckets in [0, buckets)
// -> i32 [B, H, T, length]: keys in rising order, then -1 (backends/lsh.h says which).
// ShapeError, DTypeError where the operands do not fit.
Tensor lsh_candidates(const Tensor& query_hash, const Tensor& key_hash, const LshSearch& search);

}  // namespace heed
