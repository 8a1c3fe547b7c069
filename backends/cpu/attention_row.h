// Few queries (a decoding step): one row at a time, vectors along the channels, so that the keys
// and values are read once in their own order and no lane is wasted on absent queries.
#pragma once

#include <heed/backends/cpu/attention_tile.h>
#include <heed/backends/cpu/vectors.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

inline constexpr int64_t kRowQueries = 4;  // more go through tiles

// Elements of scratch: a row of scores, and room for the terms' padding of its only lane.
inline int64_t row_scratch(const AttentionProblem& p) { return p.k.dim(2) + 2 * p.q.dim(3) + 64; }

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

// Query i of one head into `out`; returns its log-sum-exp. `keep`: scratch for one tile.
template <class T>
T attention_row(const AttentionProblem& p, const HeadTerms<T>& head, const HeadKeys<T>& keys,
                const Dropout<T>& dropout, int64_t i, const T* q, T* out, T* scratch, T* keep) {
  int64_t d = p.q.dim(3), e = p.v.dim(3);
  Range seen = head.keys_of(i, 1);
  T lowest = -static_cast<T>(__builtin_inf()), most = lowest;
  int64_t count = larger(0, seen.end - seen.begin);
  T *query = scratch, *scores = scratch + round_up(d, 16);
  for (int64_t c = 0; c < d; ++c) query[c] = q[c] * static_cast<T>(p.scale);
  if (count > 0) {
    row_scores(query, {keys.k.row(seen.begin), keys.k.stride}, count, d, scores);
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
  if (dropout.active()) dropout.scale_row(head, i, seen, keep, scores);
  row_output(scores, {keys.v.row(seen.begin), keys.v.stride}, count, e, out);
  for (int64_t c = 0; c < e; ++c) out[c] /= sum;
  return most + static_cast<T>(__builtin_log(static_cast<double>(sum)));
}

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
