// Backward by tiles. With P = exp(S - lse) recomputed, Z the factors of dropout on P, and
// D_i = sum_c dO_ic O_ic - dlse_i (dlse: the cotangent of the row's log-sum-exp, if it has one):
//
//   dV = (P Z)^T dO        dS = P (Z (dO V^T) - D)        dQ = scale dS K        dK = scale dS^T Q
//
// Backward<T> works through the tiles of queries of the heads that share a key head. Which of them,
// and how the sums of several tasks are combined, is decided in attention_backward.cpp.
#pragma once

#include <heed/backends/cpu/attention_tile.h>
#include <heed/backends/cpu/vectors.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

template <class T>
class Backward {
 public:
  Backward(const AttentionProblem& p, const Array& out, const Array& lse, const Array& cotangent,
           const Array& lse_cotangent, const AttentionGradients& g)
      : p_(p),
        g_(g),
        out_(out),
        lse_(static_cast<const T*>(lse.raw())),
        cotangent_(cotangent),
        lse_cotangent_(lse_cotangent.defined() ? static_cast<const T*>(lse_cotangent.raw())
                                               : nullptr),
        dropout_(p),
        group_(p.q.dim(1) / p.k.dim(1)),
        t_(p.q.dim(2)),
        s_(p.k.dim(2)),
        d_(p.q.dim(3)),
        e_(p.v.dim(3)),
        d_wide_(round_up(d_, Vec<T>::width)),
        e_wide_(round_up(e_, Vec<T>::width)) {}

  int64_t scratch_bytes() {
    Scratch count;
    layout(count);
    return count.used();
  }
  // Sums of dK and dV of one task, in elements.
  int64_t key_sums() const {
    return s_ * ((g_.k.defined() ? d_wide_ : 0) + (g_.v.defined() ? e_wide_ : 0));
  }
  int64_t buckets() const { return g_.relative_table.defined() ? g_.relative_table.dim(1) : 0; }

  // Called before the first unit of a task. Lanes after the last query hold what earlier tiles left
  // there. Any ordinary numbers will do, but the denormals of fresh memory would be slow.
  void use(char* memory) {
    Scratch scratch(memory);
    layout(scratch);
    for (int64_t n = 0; n < d_ * kTileLanes<T>; ++n) q_[n] = T(0);
    for (int64_t n = 0; n < e_ * kTileLanes<T>; ++n) do_[n] = T(0);
  }

  // Query tiles part, part + parts, ... of one unit; `buckets`: [group, buckets] of this task.
  void unit(int64_t unit, int64_t part, int64_t parts, T* key_sums, double* bucket_sums) {
    dk_ = {g_.k.defined() ? key_sums : nullptr, d_wide_};
    dv_ = {g_.v.defined() ? key_sums + (g_.k.defined() ? s_ * d_wide_ : 0) : nullptr, e_wide_};
    for (int64_t n = 0; n < this->key_sums(); ++n) key_sums[n] = T(0);
    int64_t b = unit / p_.k.dim(1), kv = unit % p_.k.dim(1);
    for (int64_t n = 0; n < group_; ++n)
      head(b, kv * group_ + n, part, parts, bucket_sums + n * buckets());
  }

  // dK, dV of one unit = the sum of its tasks' sums.
  void write_keys(int64_t unit, int64_t parts, const T* sums) const {
    int64_t b = unit / p_.k.dim(1), kv = unit % p_.k.dim(1), step = key_sums();
    if (g_.k.defined())
      write_rows(sums, step, parts, d_wide_, d_, static_cast<T>(p_.scale), rows_of<T>(g_.k, b, kv));
    if (g_.k.defined()) sums += s_ * d_wide_;
    if (g_.v.defined()) write_rows(sums, step, parts, e_wide_, e_, T(1), rows_of<T>(g_.v, b, kv));
  }

 private:
  void layout(Scratch& scratch) {
    constexpr int64_t lanes = kTileLanes<T>;
    q_rows_ = {scratch.take<T>(lanes * d_wide_), d_wide_};
    do_rows_ = {scratch.take<T>(lanes * e_wide_), e_wide_};
    q_ = scratch.take<T>(d_ * lanes);
    do_ = scratch.take<T>(e_ * lanes);
    dq_ = scratch.take<T>(d_ * lanes);
    weights_ = scratch.take<T>(kTileKeys * lanes);
    scores_ = scratch.take<T>(kTileKeys * lanes);
    lse_lanes_ = scratch.take<T>(lanes);
    delta_ = scratch.take<T>(lanes);
    int64_t distances = HeadTerms<T>::distance_count(p_, lanes);
    distances_ = scratch.take<T>(distances);
    distance_sums_ = scratch.take<T>(buckets() > 0 ? distances : 0);
    key_copy_ = scratch.take<T>(HeadKeys<T>::copy_count(p_));
    keep_ = scratch.take<T>(dropout_.active() ? kTileKeys * lanes : 0);
    keep_rows_ = scratch.take<T>(dropout_.active() ? kWholeRows * lanes : 0);
  }

  void write_rows(const T* sums, int64_t step, int64_t parts, int64_t wide, int64_t columns,
                  T scale, Rows<T> to) const {
    for (int64_t j = 0; j < s_; ++j) {
      const T* from = sums + j * wide;
      T* row = to.row(j);
      for (int64_t c = 0; c < columns; ++c) row[c] = from[c];
      for (int64_t part = 1; part < parts; ++part)
        for (int64_t c = 0; c < columns; ++c) row[c] += from[part * step + c];
      for (int64_t c = 0; c < columns; ++c) row[c] *= scale;
    }
  }

  static void clear(Rows<T> to, Range rows, int64_t columns) {
    if (!to) return;
    for (int64_t i = rows.begin; i < rows.end; ++i)
      for (int64_t c = 0; c < columns; ++c) to.row(i)[c] = T(0);
  }

  void head(int64_t b, int64_t h, int64_t part, int64_t parts, double* bucket_sums) {
    HeadTerms<T> terms(p_, b, h, distances_, kTileLanes<T>);
    HeadKeys<T> keys(p_, terms, key_copy_);
    Rows<T> q = rows_of<T>(p_.q, b, h), out = rows_of<T>(out_, b, h),
            cotangent = rows_of<T>(cotangent_, b, h);
    Rows<T> dq = rows_of<T>(g_.q, b, h);
    if (part == 0) {
      clear(dq, {0, smaller(t_, terms.queries.begin)}, d_);
      clear(dq, {larger(0, larger(terms.queries.end, smaller(t_, terms.queries.begin))), t_}, d_);
    }
    if (buckets() > 0)
      for (int64_t n = 0; n < t_ + s_ + kTileLanes<T>; ++n) distance_sums_[n] = T(0);
    const int64_t row = (b * terms.heads + h) * t_;
    constexpr int64_t size = kTileLanes<T>;
    for (int64_t n = part; n < terms.tile_count(size); n += parts) {
      Range x = terms.tile_at(n, size);
      if (x.empty()) continue;
      load_rows(q, cotangent, out, row, x.begin, x.end - x.begin);
      queries(terms, keys, x.begin, x.end - x.begin, dq);
    }
    for (int64_t n = 0; n < buckets(); ++n) bucket_sums[n] = 0;
    if (buckets() > 0)
      for (int64_t n = 0; n < t_ + s_ - 1; ++n)
        bucket_sums[terms.bucket(p_, n)] += static_cast<double>(distance_sums_[n]);
  }

  // The operands of a tile of queries. Rows that see no key become 0, since they may hold NaN.
  void load_rows(Rows<T> q, Rows<T> cotangent, Rows<T> out, int64_t row, int64_t i, int64_t count) {
    const T* lse = lse_ + row;
    const T infinity = static_cast<T>(__builtin_inf());
    constexpr int64_t w = Vec<T>::width;
    const int64_t lanes = round_up(count, w);
    T *products = weights_, *transposed = scores_;  // not in use yet
    for (int64_t n = 0; n < lanes; ++n) {
      bool dead = n >= count || lse[i + n] == -infinity;
      lse_lanes_[n] = dead ? infinity : lse[i + n];  // exp(s - inf) = 0
      if (n < count) {
        copy_row(dead ? nullptr : q.row(i + n), d_, d_wide_, q_rows_.row(n));
        copy_row(dead ? nullptr : cotangent.row(i + n), e_, e_wide_, do_rows_.row(n));
      }
      Vec<T> sum = 0.0;
      if (!dead)
        each_vec<T>(e_, [&](int64_t c, auto part) {
          sum = fma(load(do_rows_.row(n) + c, part), load(out.row(i + n) + c, part), sum);
        });
      sum.store(products + n * w);
    }
    // D: the sums along the vectors, all lanes at once.
    transpose(products, w, lanes, w, transposed, lanes);
    for (int64_t n = 0; n < lanes; n += w) {
      Vec<T> sum = 0.0;
      for (int64_t c = 0; c < w; ++c) sum += Vec<T>::load(transposed + c * lanes + n);
      sum.store(delta_ + n);
    }
    if (lse_cotangent_)
      for (int64_t n = 0; n < count; ++n)
        if (lse_lanes_[n] != infinity) delta_[n] -= lse_cotangent_[row + i + n];
    transpose(q_rows_.data, d_wide_, count, d_, q_, lanes, static_cast<T>(p_.scale));
    transpose(do_rows_.data, e_wide_, count, e_, do_, lanes);
  }

  // `from` null: zeros. Columns from `columns` to `wide` become zeros.
  static void copy_row(const T* from, int64_t columns, int64_t wide, T* to) {
    for (int64_t c = from ? columns / Vec<T>::width * Vec<T>::width : 0; c < wide;
         c += Vec<T>::width)
      Vec<T>(0.0).store(to + c);
    if (!from) return;
    for (int64_t c = 0; c < columns; ++c) to[c] = from[c];
  }

  void queries(const HeadTerms<T>& terms, const HeadKeys<T>& keys, int64_t i, int64_t count,
               Rows<T> dq) {
    int64_t lanes = round_up(count, Vec<T>::width);
    bool none = true;
    terms.each_tile(i, count, kTileKeys, [&](const Tile& x, bool first) {
      tile(terms, keys, x, lanes, first, static_cast<bool>(dq));
      none = false;
    });
    if (none) return clear(dq, {i, i + count}, d_);
    if (!dq) return;
    transpose(dq_, lanes, d_, count, dq.row(i), dq.stride, static_cast<T>(p_.scale));
  }

  // `lanes`: those of the whole tile of queries.
  void tile(const HeadTerms<T>& terms, const HeadKeys<T>& keys, const Tile& x, int64_t lanes,
            bool first, bool want_dq) {
    const Rows<T> k{keys.k.row(x.j), keys.k.stride}, v{keys.v.row(x.j), keys.v.stride};
    product<T, Layout::rows>(
        x.keys, x.lanes,
        {d_, k.data, k.stride, q_ + x.skip, lanes, weights_, x.lanes, Into::overwrite, nullptr});
    terms.apply(x, weights_);
    product<T, Layout::rows>(
        x.keys, x.lanes,
        {e_, v.data, v.stride, do_ + x.skip, lanes, scores_, x.lanes, Into::overwrite, nullptr});
    if (dropout_.active()) {
      dropout_.scales(terms, x, keep_rows_, keep_);
      differentiate<true>(x);
    } else {
      differentiate<false>(x);
    }
    if (dv_)
      product<T, Layout::rows>(x.keys, e_wide_,
                               {x.count, weights_, x.lanes, do_rows_.row(x.skip), e_wide_,
                                dv_.row(x.j), e_wide_, Into::add, nullptr});
    if (dk_)
      product<T, Layout::rows>(x.keys, d_wide_,
                               {x.count, scores_, x.lanes, q_rows_.row(x.skip), d_wide_,
                                dk_.row(x.j), d_wide_, Into::add, nullptr});
    if (want_dq)
      product<T, Layout::columns>(d_, x.lanes,
                                  {x.keys, k.data, k.stride, scores_, x.lanes, dq_ + x.skip, lanes,
                                   first ? Into::overwrite : Into::add, nullptr});
    if (buckets() > 0) add_distances(x);
    if (g_.bias.defined()) add_bias(terms, x);
  }

  // weights: S -> P Z; scores: dO V^T -> dS.
  template <bool kDrop>
  void differentiate(const Tile& x) {
    for (int64_t i = 0; i < x.lanes; i += Vec<T>::width) {
      Vec<T> lse = Vec<T>::load(lse_lanes_ + x.skip + i);
      Vec<T> delta = Vec<T>::load(delta_ + x.skip + i);
      for (int64_t j = 0; j < x.keys; ++j) {
        int64_t at = j * x.lanes + i;
        Vec<T> p = exp(Vec<T>::load(weights_ + at) - lse), dp = Vec<T>::load(scores_ + at);
        if constexpr (kDrop) {
          Vec<T> keep = Vec<T>::load(keep_ + at);
          (p * keep).store(weights_ + at);
          dp = dp * keep;
        } else {
          p.store(weights_ + at);
        }
        (p * (dp - delta)).store(scores_ + at);
      }
    }
  }

  void add_distances(const Tile& x) {
    for (int64_t j = 0; j < x.keys; ++j) {
      T* to = distance_sums_ + x.i - (x.j + j) + s_ - 1;
      const T* from = scores_ + j * x.lanes;
      for (int64_t i = 0; i < x.count; ++i) to[i] += from[i];
    }
  }

  void add_bias(const HeadTerms<T>& terms, const Tile& x) {
    int64_t stride[4];
    for (int n = 0; n < 4; ++n) stride[n] = g_.bias.shape()[n] == 1 ? 0 : g_.bias.strides()[n];
    T* to = static_cast<T*>(g_.bias.raw()) + terms.b * stride[0] + terms.h * stride[1] +
            x.i * stride[2] + x.j * stride[3];
    for (int64_t i = 0; i < x.count; ++i)
      for (int64_t j = 0; j < x.keys; ++j)
        to[i * stride[2] + j * stride[3]] += scores_[j * x.lanes + i];
  }

  const AttentionProblem& p_;
  const AttentionGradients& g_;
  const Array& out_;
  const T* lse_;
  const Array& cotangent_;
  const T* lse_cotangent_;
  Dropout<T> dropout_;
  int64_t group_, t_, s_, d_, e_, d_wide_, e_wide_;
  Rows<T> q_rows_, do_rows_, dk_, dv_;
  T *q_, *do_, *dq_, *weights_, *scores_, *lse_lanes_, *delta_;
  T *distances_, *distance_sums_, *key_copy_, *keep_, *keep_rows_;
};

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
