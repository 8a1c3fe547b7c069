#include <heed/autograd/ops/lsh.h>

#include <heed/autograd/ops/operand.h>
#include <heed/backends/lsh.h>
#include <heed/core/error.h>

namespace heed {

Tensor lsh_candidates(const Tensor& query_hash, const Tensor& key_hash, const LshSearch& search) {
  OpName scope("lsh_candidates");
  for (const Tensor* hash : {&query_hash, &key_hash}) {
    if (hash->dtype() != DType::i32)
      throw DTypeError(str("lsh_candidates: i32 buckets expected, got ", hash->dtype()));
    if (hash->rank() != 4)
      throw ShapeError(
          str("lsh_candidates: buckets [B, H, rounds, N] expected, got ", hash->shape()));
  }
  int64_t batch = query_hash.dim(0), heads = query_hash.dim(1);
  for (const Lengths* rows :
       {&search.key_begin, &search.key_end, &search.query_begin, &search.query_end, &search.offset})
    if (rows->size() != batch)
      throw ShapeError(str("lsh_candidates: ranges and offsets of ", batch, " rows expected, got ",
                           rows->size()));
  Device device = query_hash.device();
  LshProblem p{packed(query_hash.array()),
               packed(key_hash.array()),
               search.key_begin.array(device),
               search.key_end.array(device),
               search.query_begin.array(device),
               search.query_end.array(device),
               search.offset.array(device),
               search.chunk,
               search.buckets,
               search.causal};
  Array index =
      query_hash.array().new_empty({batch, heads, query_hash.dim(3), search.length}, DType::i32);
  kernels::lsh_candidates(p, index);
  return Tensor(index);
}

}  // namespace heed
