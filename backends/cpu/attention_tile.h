// What attention's forward and backward share: sizes of tiles, scratch memory, operands of one
// head, and the steps of a tile that are not products.
#pragma once

#include <heed/backends/cpu/attention_product.h>
#include <heed/backends/cpu/attention_terms.h>
#include <heed/backends/cpu/philox.h>
#include <heed/backends/cpu/scratch.h>
#include <heed/backends/cpu/transpose.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// A tile of scores is 64 keys x 256 bytes of queries: 16 KiB, so that it, the queries and the keys
// stay in the first-level cache.
template <class T>
inline constexpr int64_t kTileLanes = 256 / static_cast<int64_t>(sizeof(T));
inline constexpr int64_t kTileKeys = 64;
// Dropout draws its numbers for whole rows if they have at most this many keys.
inline constexpr int64_t kWholeRows = 128;

// One allocation, handed out in pieces aligned to 64 bytes. With memory = nullptr it only counts
// the bytes.
class Scratch {
 public:
  explicit Scratch(char* memory = nullptr) : memory_(memory) {}
  template <class T>
  T* take(int64_t count) {
    char* piece = memory_ + used_;
    used_ += round_up(count * static_cast<int64_t>(sizeof(T)), 64);
    return reinterpret_cast<T*>(piece);
  }
  int64_t used() const { return used_; }

 private:
  char* memory_;
  int64_t used_ = 0;
};

// One operand of one head: rows of channels.
template <class T>
struct Rows {
  T* data = nullptr;
  int64_t stride = 0;
  T* row(int64_t i) const { return data + i * stride; }
  explicit operator bool() const { return data != nullptr; }
};

template <class T>
Rows<T> rows_of(const Array& x, int64_t b, int64_t h) {
  if (!x.defined()) return {};
  const Strides& strides = x.strides();
  return {static_cast<T*>(x.raw()) + b * strides[0] + h * strides[1], strides[2]};
}

// Keys and values of one head, in place or as a copy. They are copied in two cases: if many queries
// read them and their rows lie far apart (rows at 2 KiB share a few cache sets and pages), and if a
// pair mask hides some of them from every query. Those become 0 in the copy, since they may hold
// NaN, and 0 x NaN would reach the sums. In bf16 they reach a kernel only if few queries read them
// (attention_row.h): `stored_k` and `stored_v` are set in place of k and v.
template <class T>
struct HeadKeys {
  Rows<T> k, v;
  Rows<bfloat16> stored_k, stored_v;

  static int64_t copy_count(const AttentionProblem& p) {
    return p.pair_mask.defined() || scattered(p) ? p.k.dim(2) * (p.k.dim(3) + p.v.dim(3) + 1) : 0;
  }

  HeadKeys(const AttentionProblem& p, const HeadTerms<T>& head, T* copy) {
    int64_t d = p.k.dim(3), e = p.v.dim(3), kv = head.h / (p.q.dim(1) / p.k.dim(1));
    if (p.k.dtype() != dtype_of<T>()) {
      stored_k = rows_of<bfloat16>(p.k, head.b, kv);
      stored_v = rows_of<bfloat16>(p.v, head.b, kv);
      return;
    }
    k = rows_of<T>(p.k, head.b, kv);
    v = rows_of<T>(p.v, head.b, kv);
    const bool some_hidden = head.mask && mark_seen(head, copy);
    if (!some_hidden && !scattered(p)) return;
    const T* seen = some_hidden ? copy : nullptr;
    k = copy_rows(k, head.s, d, seen, copy + head.s);
    v = copy_rows(v, head.s, e, seen, copy + head.s * (1 + d));
  }

 private:
  static bool scattered(const AttentionProblem& p) {
    return p.q.dim(2) > 2 * kTileLanes<T> &&
           (p.k.strides()[2] != p.k.dim(3) || p.v.strides()[2] != p.v.dim(3));
  }

  static Rows<T> copy_rows(Rows<T> from, int64_t rows, int64_t columns, const T* seen, T* to) {
    for (int64_t j = 0; j < rows; ++j) {
      const T* row = from.row(j);
      if (seen && seen[j] == T(0))
        for (int64_t c = 0; c < columns; ++c) to[j * columns + c] = T(0);
      else
        for (int64_t c = 0; c < columns; ++c) to[j * columns + c] = row[c];
    }
    return {to, columns};
  }

  // seen[j] != 0 if some query sees key j; returns whether any key is unseen.
  static bool mark_seen(const HeadTerms<T>& head, T* seen) {
    for (int64_t j = 0; j < head.s; ++j) seen[j] = T(0);
    for (int64_t i = head.queries.begin; i < head.queries.end; ++i) {
      Range keys = head.keys_of(i, 1);
      const bool* row = head.mask + i * head.mask_t;
      for (int64_t j = keys.begin; j < keys.end; ++j)
        if (row[j * head.mask_s]) seen[j] = T(1);
    }
    for (int64_t j = 0; j < head.s; ++j)
      if (seen[j] == T(0)) return true;
    return false;
  }
};

// Multiplies tile[key][query] by dropout's scales, 0 or 1 / (1 - p). `rows`: scratch of kTileLanes
// x kWholeRows elements.
template <class T>
class Dropout {
 public:
  explicit Dropout(const AttentionProblem& p) : p_(p.dropout), stream_(p.key) {}
  bool active() const { return p_ > 0; }

  // Fills `scales` [keys][lanes].
  void scales(const HeadTerms<T>& head, const Tile& x, T* rows, T* scales) const {
    int64_t first = ((head.b * head.heads + head.h) * head.t + x.i) * head.s, stride = x.keys;
    const T* from = rows;
    if (head.s <= kWholeRows) {
      stride = head.s;
      from += x.j;
      keep_scales(rows, x.count * stride, stream_, static_cast<uint64_t>(first), p_);
    } else {
      for (int64_t i = 0; i < x.count; ++i)
        keep_scales(rows + i * stride, stride, stream_,
                    static_cast<uint64_t>(first + i * head.s + x.j), p_);
    }
    transpose(from, stride, x.count, x.keys, scales, x.lanes);
    for (int64_t j = 0; j < x.keys; ++j)
      for (int64_t i = x.count; i < x.lanes; ++i) scales[j * x.lanes + i] = T(0);
  }

  // weights[j - seen.begin] *= the scale of (i, j). `part`: scratch of kWholeRows elements.
  void scale_row(const HeadTerms<T>& head, int64_t i, Range seen, T* part, T* weights) const {
    int64_t first = ((head.b * head.heads + head.h) * head.t + i) * head.s;
    for (int64_t j = seen.begin; j < seen.end; j += kWholeRows) {
      int64_t count = smaller(kWholeRows, seen.end - j);
      keep_scales(part, count, stream_, static_cast<uint64_t>(first + j), p_);
      for (int64_t n = 0; n < count; ++n) weights[j - seen.begin + n] *= part[n];
    }
  }

 private:
  double p_;
  PhiloxStream stream_;
};

template <class T>
void multiply(T* a, const T* b, int64_t count) {  // count: a multiple of the width
  for (int64_t n = 0; n < count; n += Vec<T>::width)
    (Vec<T>::load(a + n) * Vec<T>::load(b + n)).store(a + n);
}

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
