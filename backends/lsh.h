// The candidates of locality-sensitive hashing (docs/attention/lsh.md): for each query, the keys
// that share its bucket and stand near it there, in any round.
#pragma once

#include <concepts>

#include <heed/backends/kernel.h>

namespace heed {

struct LshProblem {
  Array query_hash;              // i32 [B, H, rounds, T] contiguous: buckets in [0, buckets)
  Array key_hash;                // i32 [B, H, rounds, S] contiguous
  Array key_begin, key_end;      // i64 [B] contiguous: valid keys [begin, end) within [0, S]
  Array query_begin, query_end;  // i64 [B] contiguous, within [0, T]
  Array offset;                  // i64 [B] contiguous: query i stands at key i + offset
  int64_t chunk = 0, buckets = 0;
  bool causal = false;
};

template <class Problem, class F>
requires std::same_as<std::remove_const_t<Problem>, LshProblem>
void arrays_of(Problem& p, F&& f) {
  f(p.query_hash), f(p.key_hash), f(p.key_begin), f(p.key_end), f(p.query_begin), f(p.query_end);
  f(p.offset);
}

}  // namespace heed

// index i32 [B, H, T, L] contiguous: the keys of each query in rising order without repeats, its
// own key among them if it is valid; then -1. In each round the candidates are valid keys of the
// query's bucket:
//
//   causal      the last chunk - 1 of them before the query   L >= rounds (chunk - 1) + 1
//   not causal  those in the query's chunk and the one        L >= rounds 2 chunk + 1
//               before, of all keys sorted by (bucket, position)
HEED_KERNEL_ONCE(lsh_candidates, void(const LshProblem& problem, const Array& index));
