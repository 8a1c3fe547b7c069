// Few queries (a decoding step): one row at a time, vectors along the channels, so that the keys
// and values are read once in their own order and no lane is wasted on absent queries. In bf16 they
// are widened piece by piece as they are read: a step would otherwise convert all of a cache.
#pragma once

#include <heed/backends/cpu/attention_tile.h>
#include <heed/backends/cpu/vectors.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

inline constexpr int64_t kRowQueries = 4;  // more go through tiles

// Whether k and v may stay bf16: each key head serves few rows, of which each widens it anew, there
// is no pair mask, for which HeadKeys copies keys and values in f32, and no layout, which goes
// through tiles.
inline bool widens_in_place(const AttentionProblem& p) {
  return p.q.dim(2) * (p.q.dim(1) / larger(1, p.k.dim(1))) <= kRowQueries &&
         !p.pair_mask.defined() && p.blocks.size == 0;
}

// Scratch of one row, in elements.
template <class T>
struct RowScratch {
  T *query, *scores, *part;  // part: of the output, from one piece of the values
  T *keys, *values;          // pieces widened from bf16, [kTileKeys, D] and [kTileKeys, E]
  T* keep;                   // for dropout, kWholeRows
};

// scores[j] = q . k_j for j in [0, keys)
template <class T>
void row_scores(const T* q, Rows<T> k, int64_t keys, int64_t d, T* scores) {
  constexpr int64_t w = Vec<T>::width;
  int64_t whole = d / w * w;
  for (int64_t j = 0; j < keys; ++j) {
    const T* row = k.row(j);
    Vec<T> sum[2] = {0.0, 0.0};
    int64_t c = 0;
    for (; c + 2 * w <= whole; c += 2 * w) {
      sum[0] = fma(Vec<T>::load(q + c), Vec<T>::load(row + c), sum[0]);
      sum[1] = fma(Vec<T>::load(q + c + w), Vec<T>::load(row + c + w), sum[1]);
    }
    if (c < whole) sum[0] = fma(Vec<T>::load(q + c), Vec<T>::load(row + c), sum[0]);
    T tail = T(0);
    for (c = whole; c < d; ++c) tail += q[c] * row[c];
    scores[j] = (sum[0] + sum[1]).sum() + tail;
  }
}

// out = sum_j weights[j] v_j, with kVecs vectors of channels at once.
template <class T, int kVecs>
void row_sum(const T* weights, const T* v, int64_t stride, int64_t keys, T* out) {
  constexpr int64_t w = Vec<T>::width;
  Vec<T> sum[kVecs];
#pragma GCC unroll 8
  for (int n = 0; n < kVecs; ++n) sum[n] = Vec<T>(0.0);
  for (int64_t j = 0; j < keys; ++j) {
    Vec<T> weight = typename Vec<T>::Batch(weights[j]);
#pragma GCC unroll 8
    for (int n = 0; n < kVecs; ++n)
      sum[n] = fma(weight, Vec<T>::load(v + j * stride + n * w), sum[n]);
  }
#pragma GCC unroll 8
  for (int n = 0; n < kVecs; ++n) sum[n].store(out + n * w);
}

template <class T>
void row_output(const T* weights, Rows<T> v, int64_t keys, int64_t e, T* out) {
  constexpr int64_t w = Vec<T>::width;
  int64_t c = 0;
  for (; c + 8 * w <= e; c += 8 * w) row_sum<T, 8>(weights, v.data + c, v.stride, keys, out + c);
  for (; c + 4 * w <= e; c += 4 * w) row_sum<T, 4>(weights, v.data + c, v.stride, keys, out + c);
  for (; c + w <= e; c += w) row_sum<T, 1>(weights, v.data + c, v.stride, keys, out + c);
  for (; c < e; ++c) {
    T sum = T(0);
    for (int64_t j = 0; j < keys; ++j) sum += weights[j] * v.row(j)[c];
    out[c] = sum;
  }
}

// f(rows, first, n) for pieces of kTileKeys rows of bf16, widened into `piece`. Out of line, so
// that it does not slow down what reads its rows in place.
template <class F>
__attribute__((noinline)) void each_piece(Rows<bfloat16> stored, Range seen, int64_t width,
                                          float* piece, F&& f) {
  const Rows<float> rows{piece, width};
  for (int64_t j = seen.begin; j < seen.end; j += kTileKeys) {
    const int64_t n = smaller(kTileKeys, seen.end - j);
    for (int64_t r = 0; r < n; ++r) widen(stored.row(j + r), width, rows.row(r));
    f(rows, j - seen.begin, n);
  }
}

template <class T>
void scores_of(const HeadKeys<T>& keys, Range seen, int64_t d, const RowScratch<T>& x) {
  if constexpr (__is_same(T, float))
    if (keys.stored_k)
      return each_piece(keys.stored_k, seen, d, x.keys, [&](Rows<T> k, int64_t first, int64_t n) {
        row_scores(x.query, k, n, d, x.scores + first);
      });
  row_scores(x.query, {keys.k.row(seen.begin), keys.k.stride}, seen.end - seen.begin, d, x.scores);
}

template <class T>
void output_of(const HeadKeys<T>& keys, Range seen, int64_t e, const RowScratch<T>& x, T* out) {
  if constexpr (__is_same(T, float))
    if (keys.stored_v)
      return each_piece(keys.stored_v, seen, e, x.values, [&](Rows<T> v, int64_t first, int64_t n) {
        row_output(x.scores + first, v, n, e, first == 0 ? out : x.part);
        for (int64_t c = 0; first > 0 && c < e; ++c) out[c] += x.part[c];
      });
  row_output(x.scores, {keys.v.row(seen.begin), keys.v.stride}, seen.end - seen.begin, e, out);
}

// Query i of one head into `out`; returns its log-sum-exp.
template <class T>
T attention_row(const AttentionProblem& p, const HeadTerms<T>& head, const HeadKeys<T>& keys,
                const Dropout<T>& dropout, int64_t i, const T* q, T* out,
                const RowScratch<T>& scratch) {
  int64_t d = p.q.dim(3), e = p.v.dim(3);
  Range seen = head.keys_of(i, 1);
  T lowest = -static_cast<T>(__builtin_inf()), most = lowest;
  int64_t count = larger(0, seen.end - seen.begin);
  T *query = scratch.query, *scores = scratch.scores;
  for (int64_t c = 0; c < d; ++c) query[c] = q[c] * static_cast<T>(p.scale);
  if (count > 0) {
    scores_of(keys, seen, d, scratch);
    head.apply_row(i, seen, scores);
    most = row_max(scores, count);
  }
  if (most == lowest) {
    for (int64_t c = 0; c < e; ++c) out[c] = T(0);
    return lowest;
  }
  Vec<T> total = 0.0;
  each_vec<T>(count, [&](int64_t j, auto part) {
    Vec<T> weight = exp(load(scores + j, part, lowest) - Vec<T>(typename Vec<T>::Batch(most)));
    store(scores + j, weight, part);
    total += weight;
  });
  T sum = total.sum();
  if (dropout.active()) dropout.scale_row(head, i, seen, scratch.keep, scores);
  output_of(keys, seen, e, scratch, out);
  for (int64_t c = 0; c < e; ++c) out[c] /= sum;
  return most + static_cast<T>(__builtin_log(static_cast<double>(sum)));
}

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
