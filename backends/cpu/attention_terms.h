// What is visible in one head and what is added to its scores, evaluated on tiles. A tile of scores
// is stored with queries along the lanes: tile[key * lanes + query], so that maxima and sums over
// keys need no reduction within a vector.
#pragma once

#include <heed/backends/attention.h>
#include <heed/backends/cpu/simd.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

struct Range {
  int64_t begin, end;
  bool empty() const { return begin >= end; }
};

inline int64_t smaller(int64_t a, int64_t b) { return a < b ? a : b; }
inline int64_t larger(int64_t a, int64_t b) { return a < b ? b : a; }
inline int64_t round_up(int64_t n, int64_t step) { return (n + step - 1) / step * step; }

// Equal pieces of at most `most`.
inline int64_t tile_size(int64_t count, int64_t most) {
  int64_t tiles = (count + most - 1) / most;
  return tiles > 0 ? (count + tiles - 1) / tiles : most;
}

// Queries [i, i + count), held in `lanes` >= count lanes, and keys [j, j + keys). `bits`: the bits
// of key j, if the layout hides some of these pairs. Query i is lane `skip` of the whole tile of
// queries.
struct Tile {
  int64_t i, count, lanes, j, keys;
  const int64_t* bits = nullptr;
  int64_t skip = 0;
};

template <class T>
struct HeadTerms {
  int64_t b, h, heads, t, s;
  Range keys, queries;  // padding
  int64_t offset, lowest, highest;
  const T* by_distance;        // [t + s + kTileLanes]: added to scores; element i - j + s - 1
  const bool* mask = nullptr;  // of this head
  const T* bias = nullptr;
  int64_t mask_t = 0, mask_s = 0, bias_t = 0, bias_s = 0;  // strides
  int64_t block = 0;                                       // queries of a block row of the layout
  const int64_t *block_rows = nullptr, *block_runs = nullptr, *block_bits = nullptr;

  static int64_t distance_count(const AttentionProblem& p, int64_t lanes) {
    return p.alibi_slopes.defined() || p.relative_table.defined() ? p.q.dim(2) + p.k.dim(2) + lanes
                                                                  : 0;
  }

  // `distances` holds distance_count() elements.
  HeadTerms(const AttentionProblem& p, int64_t b, int64_t h, T* distances, int64_t lanes)
      : b(b), h(h), heads(p.q.dim(1)), t(p.q.dim(2)), s(p.k.dim(2)) {
    auto row = [b](const Array& values, int64_t otherwise) {
      return values.defined() ? static_cast<const int64_t*>(values.raw())[b] : otherwise;
    };
    keys = {larger(0, row(p.key_begin, 0)), smaller(s, row(p.key_end, s))};
    queries = {larger(0, row(p.query_begin, 0)), smaller(t, row(p.query_end, t))};
    // All distant offsets act alike; clamped, they cannot overflow below.
    constexpr int64_t kFar = int64_t{1} << 40;
    offset = larger(-kFar, smaller(kFar, row(p.offset, s - t)));
    lowest = p.lowest;
    highest = p.highest;
    by_distance = nullptr;
    if (distance_count(p, lanes) > 0) {
      fill_distances(p, distances, lanes);
      by_distance = distances;
    }
    if (p.pair_mask.defined()) {
      const Strides& strides = p.pair_mask.strides();
      mask = static_cast<const bool*>(p.pair_mask.raw()) + b * strides[0] + h * strides[1];
      mask_t = strides[2];
      mask_s = strides[3];
    }
    if (p.bias.defined()) {
      const Strides& strides = p.bias.strides();
      bias = static_cast<const T*>(p.bias.raw()) + b * strides[0] + h * strides[1];
      bias_t = strides[2];
      bias_s = strides[3];
    }
    if (p.blocks.size > 0) {
      block = p.blocks.size;
      block_rows = static_cast<const int64_t*>(p.blocks.rows.raw());
      block_runs = static_cast<const int64_t*>(p.blocks.runs.raw());
      block_bits = static_cast<const int64_t*>(p.blocks.bits.raw());
    }
  }

  // Tiles of up to `size` queries that cover all valid ones; with a layout each lies within a block
  // row, and some are empty.
  int64_t tile_count(int64_t size) const {
    if (block == 0) return larger(0, (queries.end - queries.begin + size - 1) / size);
    return (t + block - 1) / block * ((block + size - 1) / size);
  }
  Range tile_at(int64_t n, int64_t size) const {
    if (block == 0) {
      int64_t begin = queries.begin + n * size;
      return {begin, smaller(begin + size, queries.end)};
    }
    int64_t pieces = (block + size - 1) / size, row = n / pieces * block;
    int64_t begin = row + n % pieces * size, end = smaller(begin + size, row + block);
    return {larger(begin, queries.begin), smaller(end, queries.end)};
  }

  // f(keys, bits) for each run of keys that some query of a tile may see.
  template <class F>
  void each_run(int64_t i, int64_t count, F&& f) const {
    Range seen = keys_of(i, count);
    if (seen.empty()) return;
    if (block == 0) return f(seen, static_cast<const int64_t*>(nullptr));
    int64_t row = i / block, words = (block + 63) / 64;
    for (int64_t n = block_rows[row]; n < block_rows[row + 1]; ++n) {
      const int64_t* run = block_runs + 3 * n;
      Range keys{larger(seen.begin, run[0]), smaller(seen.end, run[1])};
      if (keys.empty()) continue;
      f(keys, run[2] < 0 ? nullptr : block_bits + run[2] + (keys.begin - run[0]) * words);
    }
  }
  const int64_t* bits_at(const int64_t* bits, int64_t keys_on) const {
    return bits ? bits + keys_on * ((block + 63) / 64) : nullptr;
  }

  // f(tile) for the tiles that queries [i, i + count) form with the keys they see, of up to `size`
  // keys. Where the diagonal or the edge of a window crosses a tile, it is cut into strips of keys,
  // each with only those queries that see one of its keys, so that fewer hidden pairs are computed.
  // The first tile has all queries: its results overwrite what the others add to.
  template <class F>
  void each_tile(int64_t i, int64_t count, int64_t size, F&& f) const {
    const int64_t strip = larger(Vec<T>::width, size / 4);
    bool first = true;
    each_run(i, count, [&](Range seen, const int64_t* bits) {
      const int64_t step = tile_size(seen.end - seen.begin, size);
      for (int64_t j = seen.begin; j < seen.end;) {
        Tile x{i,
               count,
               round_up(count, Vec<T>::width),
               j,
               smaller(step, seen.end - j),
               bits_at(bits, j - seen.begin)};
        if (!in_range(x)) {
          x.keys = smaller(x.keys, strip);
          if (!first) trim(x);
        }
        if (x.count > 0) f(x, first);
        j += x.keys;
        first = false;
      }
    });
  }

  // The bucket that a pair at element `n` of by_distance falls into.
  int64_t bucket(const AttentionProblem& p, int64_t n) const {
    int64_t reach = p.relative_index.numel() / 2, relative = s - 1 - n - offset;
    relative = larger(-reach, smaller(reach, relative));
    return static_cast<const int64_t*>(p.relative_index.raw())[relative + reach];
  }

  // Keys that some query of [i, i + count) may see, without regard to pair mask and bias.
  Range keys_of(int64_t i, int64_t count) const {
    return {larger(keys.begin, i + offset + lowest),
            smaller(keys.end, i + count - 1 + offset + highest + 1)};
  }

  bool has_bias() const { return by_distance || bias; }
  bool in_range(const Tile& x) const {
    return x.j + x.keys - 1 - x.i - offset <= highest &&
           x.j - (x.i + x.count - 1) - offset >= lowest;
  }

  // Adds the biases to the scores of a tile; invisible pairs become -inf.
  void apply(const Tile& x, T* tile) const {
    if (by_distance)
      for (int64_t j = 0; j < x.keys; ++j) {
        const T* from = by_distance + x.i - (x.j + j) + s - 1;
        T* row = tile + j * x.lanes;
        for (int64_t i = 0; i < x.lanes; i += Vec<T>::width)
          (Vec<T>::load(row + i) + Vec<T>::load(from + i)).store(row + i);
      }
    if (bias) {
      const T* from = bias + x.i * bias_t + x.j * bias_s;
      for (int64_t i = 0; i < x.count; ++i)
        for (int64_t j = 0; j < x.keys; ++j) tile[j * x.lanes + i] += from[i * bias_t + j * bias_s];
    }
    if (mask || !in_range(x)) hide(x, tile);
    if (x.bits) hide_bits(x, tile);
  }

  // The same for the scores of query i and the keys `seen` = keys_of(i, 1).
  void apply_row(int64_t i, Range seen, T* scores) const {
    for (int64_t j = seen.begin; j < seen.end; ++j) {
      T& score = scores[j - seen.begin];
      if (by_distance) score += by_distance[i - j + s - 1];
      if (bias) score += bias[i * bias_t + j * bias_s];
      if (mask && !mask[i * mask_t + j * mask_s]) score = -static_cast<T>(__builtin_inf());
    }
  }

 private:
  // Removes the queries at both ends that see no key of the tile, in whole vectors. A vector is
  // computed as a whole: if `count` ended inside one, the queries in its other lanes would be
  // computed too, but the keys that they must not see would not be hidden.
  void trim(Tile& x) const {
    constexpr int64_t w = Vec<T>::width;
    int64_t first = larger(0, x.j - offset - highest - x.i) / w * w;
    int64_t last = larger(first, x.j + x.keys - offset - lowest - x.i);
    x.skip = first;
    x.i += first;
    x.count = larger(0, smaller(x.count, round_up(last, w)) - first);
    x.lanes = round_up(x.count, w);
  }

  void hide(const Tile& x, T* tile) const {
    constexpr T minus_infinity = -__builtin_inf();
    for (int64_t j = 0; j < x.keys; ++j) {
      // lowest <= key - i - offset <= highest, solved for the lane.
      int64_t relative = x.j + j - offset - x.i;
      int64_t first = smaller(x.lanes, larger(0, relative - highest));
      int64_t last = larger(0, smaller(x.lanes, relative - lowest + 1));
      T* row = tile + j * x.lanes;
      for (int64_t i = 0; i < first; ++i) row[i] = minus_infinity;
      for (int64_t i = last; i < x.lanes; ++i) row[i] = minus_infinity;
    }
    if (!mask) return;
    const bool* from = mask + x.i * mask_t + x.j * mask_s;
    for (int64_t i = 0; i < x.count; ++i)
      for (int64_t j = 0; j < x.keys; ++j)
        if (!from[i * mask_t + j * mask_s]) tile[j * x.lanes + i] = minus_infinity;
  }

  void hide_bits(const Tile& x, T* tile) const {
    const int64_t words = (block + 63) / 64, first = x.i % block, word = first / 64;
    const int64_t shift = first % 64;
    const uint64_t lanes = x.count < 64 ? (uint64_t{1} << x.count) - 1 : ~uint64_t{0};
    for (int64_t j = 0; j < x.keys; ++j) {
      const int64_t* bits = x.bits + j * words + word;
      uint64_t seen = static_cast<uint64_t>(bits[0]) >> shift;
      if (shift > 0 && word + 1 < words) seen |= static_cast<uint64_t>(bits[1]) << (64 - shift);
      T* row = tile + j * x.lanes;
      for (uint64_t hidden = ~seen & lanes; hidden != 0; hidden &= hidden - 1)
        row[__builtin_ctzll(hidden)] = -static_cast<T>(__builtin_inf());
    }
  }

  void fill_distances(const AttentionProblem& p, T* out, int64_t lanes) {
    int64_t count = t + s - 1;
    double slope =
        p.alibi_slopes.defined() ? static_cast<const double*>(p.alibi_slopes.raw())[h] : 0;
    const T* table = nullptr;
    if (p.relative_table.defined())
      table = static_cast<const T*>(p.relative_table.raw()) + h * p.relative_table.dim(1);
    for (int64_t n = 0; n < count; ++n) {
      double relative = static_cast<double>(s - 1 - n - offset);
      out[n] = static_cast<T>(-slope * (relative < 0 ? -relative : relative));
      if (table) out[n] += table[bucket(p, n)];
    }
    for (int64_t n = larger(0, count); n < t + s + lanes; ++n) out[n] = T(0);
  }
};

}  // namespace
}  // namespace heed::kernels::HEED_ISA_NAMESPACE
