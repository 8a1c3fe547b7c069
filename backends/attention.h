// Fused attention: O = dropout(softmax(scale Q K^T + terms)) V by tiles, without the T x S map.
// The terms are explained in autograd/ops/attention_terms.h. f32, f64, and bf16 through copies in
// f32; lse and its cotangent are f32 for bf16.
#pragma once

#include <concepts>

#include <heed/backends/kernel.h>
#include <heed/core/random.h>

namespace heed {

// Which parts of the T x S map exist: block rows in compressed form. Each run of keys is seen by
// all queries of its block row, or by those whose bits are set.
struct AttentionBlocks {
  int64_t size = 0;  // queries of a block row; 0: no layout, everything exists
  Array rows;        // i64 [R + 1]: block row r has the runs rows[r] .. rows[r + 1]
  Array runs;        // i64 [N, 3]: begin and end of its keys; the first word of its bits, or -1
  Array bits;        // i64 [W]: ceil(size / 64) words per key; bit n: query r size + n sees it
};

struct AttentionProblem {
  Array q, k, v;             // [B, H, T, D], [B, Hkv, S, D], [B, Hkv, S, E]; last axis contiguous
  Array key_begin, key_end;  // i64 [B] contiguous, or undefined; so are the next three
  Array query_begin, query_end, offset;
  // Key j is visible to query i only if lowest <= j - i - offset <= highest.
  int64_t lowest = 0, highest = 0;
  Array alibi_slopes;    // f64 [H] contiguous, or undefined
  Array relative_table;  // [H, buckets] contiguous, or undefined
  // i64 [2 R + 1]: the bucket of r = j - i - offset, clamped to [-R, R], is element r + R.
  Array relative_index;
  Array pair_mask, bias;   // views of [B, H, T, S], or undefined
  AttentionBlocks blocks;  // the same for all heads
  double scale = 1, dropout = 0;
  RandomKey key;
};

// Of the inputs' shapes, last axis contiguous; undefined if not wanted. All are overwritten except
// the bias's, which is added to.
struct AttentionGradients {
  Array q, k, v;
  Array relative_table;  // contiguous
  Array bias;            // [B or 1, H or 1, T or 1, S or 1], any strides
};

// The arrays of each struct, for backends/device_dispatch.h.
template <class Problem, class F>
requires std::same_as<std::remove_const_t<Problem>, AttentionProblem>
void arrays_of(Problem& p, F&& f) {
  f(p.q), f(p.k), f(p.v), f(p.key_begin), f(p.key_end), f(p.query_begin), f(p.query_end);
  f(p.offset), f(p.alibi_slopes), f(p.relative_table), f(p.relative_index), f(p.pair_mask);
  f(p.bias), f(p.blocks.rows), f(p.blocks.runs), f(p.blocks.bits);
}
template <class Gradients, class F>
requires std::same_as<std::remove_const_t<Gradients>, AttentionGradients>
void arrays_of(Gradients& g, F&& f) { f(g.q), f(g.k), f(g.v), f(g.relative_table), f(g.bias); }

}  // namespace heed

// out [B, H, T, E], last axis contiguous; lse [B, H, T] contiguous: log sum exp of each row's
// scores, -inf where nothing is visible.
HEED_KERNEL(attention_forward,
            void(const AttentionProblem& problem, const Array& out, const Array& lse));
// `out`, `lse`: what forward gave. `cotangent`: of out, last axis contiguous; `lse_cotangent`: as
// lse, or undefined.
HEED_KERNEL(attention_backward,
            void(const AttentionProblem& problem, const Array& out, const Array& lse,
                 const Array& cotangent, const Array& lse_cotangent,
                 const AttentionGradients& gradients));
