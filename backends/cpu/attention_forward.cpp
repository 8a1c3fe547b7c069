// Forward by tiles with online softmax: for each tile of queries, run over the tiles of keys and
// keep the running maximum m, the sum l = sum exp(s - m) and the output, both rescaled when m
// grows.
#include <heed/backends/cpu/attention_row.h>
#include <heed/backends/cpu/attention_tile.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/widen.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// The state of one tile of queries, by lane.
template <class T>
struct Online {
  T *most, *sum, *factor;

  void start(int64_t lanes) {
    for (int64_t i = 0; i < lanes; ++i) {
      most[i] = -static_cast<T>(__builtin_inf());
      sum[i] = T(0);
    }
  }

  Online from(int64_t lane) const { return {most + lane, sum + lane, factor + lane}; }

  // tile = exp(tile - m), with m and l brought up to date; factor = exp(old m - m).
  void step(T* tile, int64_t keys, int64_t lanes) {
    constexpr int64_t w = Vec<T>::width;
    const Vec<T> lowest = -__builtin_inf();
    for (int64_t i = 0; i < lanes; i += w) {
      T* column = tile + i;
      Vec<T> before = Vec<T>::load(most + i), best[4] = {before, before, before, before};
      int64_t j = 0;
      for (; j + 4 <= keys; j += 4)
#pragma GCC unroll 4
        for (int n = 0; n < 4; ++n)
          best[n] = max_keep(best[n], Vec<T>::load(column + (j + n) * lanes));
      for (; j < keys; ++j) best[0] = max_keep(best[0], Vec<T>::load(column + j * lanes));
      Vec<T> now = max_keep(max_keep(best[0], best[1]), max_keep(best[2], best[3]));
      now.store(most + i);
      // -inf - -inf is NaN: in a row without a visible key so far, weights are exp(-inf - 0) = 0.
      Vec<T> shift = select(now == lowest, Vec<T>(0.0), now);
      Vec<T> rescale = exp(before - shift);
      rescale.store(factor + i);
      Vec<T> total[2] = {Vec<T>::load(sum + i) * rescale, 0.0};
      for (j = 0; j + 2 <= keys; j += 2)
#pragma GCC unroll 2
        for (int n = 0; n < 2; ++n) {
          Vec<T> weight = exp(Vec<T>::load(column + (j + n) * lanes) - shift);
          weight.store(column + (j + n) * lanes);
          total[n] += weight;
        }
      if (j < keys) {
        Vec<T> weight = exp(Vec<T>::load(column + j * lanes) - shift);
        weight.store(column + j * lanes);
        total[0] += weight;
      }
      (total[0] + total[1]).store(sum + i);
    }
  }

  // factor = 1 / l (0 for nothing visible); most = m + log l.
  void finish(int64_t lanes) {
    for (int64_t i = 0; i < lanes; i += Vec<T>::width) {
      Vec<T> l = Vec<T>::load(sum + i);
      auto nothing = l == Vec<T>(0.0);
      select(nothing, Vec<T>(0.0), Vec<T>(1.0) / l).store(factor + i);
      select(nothing, Vec<T>(-__builtin_inf()), Vec<T>::load(most + i) + log(l)).store(most + i);
    }
  }
};

template <class T>
class Forward {
 public:
  Forward(const AttentionProblem& p, const Array& out, const Array& lse)
      : p_(p),
        out_(out),
        lse_(static_cast<T*>(lse.raw())),
        dropout_(p),
        t_(p.q.dim(2)),
        d_(p.q.dim(3)),
        e_(p.v.dim(3)) {}

  int64_t scratch_bytes() {
    Scratch count;
    layout(count);
    return count.used();
  }

  // Called before the first head of a task. Lanes after the last query hold what earlier tiles left
  // there. Any ordinary numbers will do, but the denormals of fresh memory would be slow.
  void use(char* memory) {
    Scratch scratch(memory);
    layout(scratch);
    for (int64_t n = 0; n < d_ * kTileLanes<T>; ++n) queries_[n] = T(0);
  }

  // Query tiles part, part + parts, ... of one head.
  void head(int64_t b, int64_t h, int64_t part, int64_t parts) {
    HeadTerms<T> terms(p_, b, h, distances_, kTileLanes<T>);
    HeadKeys<T> keys(p_, terms, key_copy_);
    Rows<T> out = rows_of<T>(out_, b, h);
    T* lse = lse_ + (b * terms.heads + h) * t_;
    if (part == 0) {
      clear(out, lse, {0, smaller(t_, terms.queries.begin)});
      clear(out, lse, {larger(0, larger(terms.queries.end, smaller(t_, terms.queries.begin))), t_});
    }
    Rows<T> q = rows_of<T>(p_.q, b, h);
    if (t_ <= kRowQueries && terms.block == 0) {
      for (int64_t i = terms.queries.begin; i < terms.queries.end; ++i)
        lse[i] = attention_row(p_, terms, keys, dropout_, i, q.row(i), out.row(i), row_);
      return;
    }
    constexpr int64_t size = kTileLanes<T>;
    for (int64_t n = part; n < terms.tile_count(size); n += parts) {
      Range x = terms.tile_at(n, size);
      if (!x.empty()) tile(terms, keys, q, x.begin, x.end - x.begin, out, lse);
    }
  }

 private:
  void layout(Scratch& scratch) {
    constexpr int64_t lanes = kTileLanes<T>;
    queries_ = scratch.take<T>(d_ * lanes);
    tile_ = scratch.take<T>(kTileKeys * lanes);
    output_ = scratch.take<T>(e_ * lanes);
    online_ = {scratch.take<T>(lanes), scratch.take<T>(lanes), scratch.take<T>(lanes)};
    distances_ = scratch.take<T>(HeadTerms<T>::distance_count(p_, lanes));
    key_copy_ = scratch.take<T>(HeadKeys<T>::copy_count(p_));
    keep_ = scratch.take<T>(dropout_.active() ? kTileKeys * lanes : 0);
    keep_rows_ = scratch.take<T>(dropout_.active() ? kWholeRows * lanes : 0);
    if (t_ > kRowQueries) return;
    row_.query = scratch.take<T>(d_);
    // Terms and vectors may touch what follows the scores, and pad their only lane.
    row_.scores = scratch.take<T>(p_.k.dim(2) + d_ + 64);
    row_.part = scratch.take<T>(e_);
    // Rows leave queries_, output_ and tile_ unused: their scratch serves as keys, values and keep.
    static_assert(kTileKeys <= kTileLanes<T> || !__is_same(T, float));
    row_.keys = queries_;
    row_.values = output_;
    row_.keep = tile_;
  }

  void clear(Rows<T> out, T* lse, Range rows) {
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      for (int64_t c = 0; c < e_; ++c) out.row(i)[c] = T(0);
      lse[i] = -static_cast<T>(__builtin_inf());
    }
  }

  void tile(const HeadTerms<T>& terms, const HeadKeys<T>& keys, Rows<T> q, int64_t i, int64_t count,
            Rows<T> out, T* lse) {
    int64_t lanes = round_up(count, Vec<T>::width);
    bool none = true;
    terms.each_tile(i, count, kTileKeys, [&](const Tile& x, bool first) {
      if (first) {
        transpose(q.row(i), q.stride, count, d_, queries_, lanes, static_cast<T>(p_.scale));
        online_.start(lanes);
      }
      add_keys(terms, keys, x, lanes, first);
      none = false;
    });
    if (none) return clear(out, lse, {i, i + count});
    online_.finish(lanes);
    for (int64_t c = 0; c < e_; ++c) multiply(output_ + c * lanes, online_.factor, lanes);
    transpose(output_, lanes, e_, count, out.row(i), out.stride);
    for (int64_t n = 0; n < count; ++n) lse[i + n] = online_.most[n];
  }

  // `lanes`: those of the whole tile of queries.
  void add_keys(const HeadTerms<T>& terms, const HeadKeys<T>& keys, const Tile& x, int64_t lanes,
                bool first) {
    Online<T> online = online_.from(x.skip);
    product<T, Layout::rows>(x.keys, x.lanes,
                             {d_, keys.k.row(x.j), keys.k.stride, queries_ + x.skip, lanes, tile_,
                              x.lanes, Into::overwrite, nullptr});
    terms.apply(x, tile_);
    online.step(tile_, x.keys, x.lanes);
    if (dropout_.active()) {
      dropout_.scales(terms, x, keep_rows_, keep_);
      multiply(tile_, keep_, x.keys * x.lanes);
    }
    Into into = first ? Into::overwrite : Into::rescale;
    product<T, Layout::columns>(e_, x.lanes,
                                {x.keys, keys.v.row(x.j), keys.v.stride, tile_, x.lanes,
                                 output_ + x.skip, lanes, into, online.factor});
  }

  const AttentionProblem& p_;
  const Array& out_;
  T* lse_;
  Dropout<T> dropout_;
  int64_t t_, d_, e_;
  T *queries_, *tile_, *output_, *distances_, *key_copy_, *keep_, *keep_rows_;
  Online<T> online_;
  RowScratch<T> row_;
};

template <class T>
void run(const AttentionProblem& p, const Array& out, const Array& lse) {
  int64_t heads = p.q.dim(0) * p.q.dim(1), tiles = (p.q.dim(2) + kTileLanes<T> - 1) / kTileLanes<T>;
  // Enough tasks for all threads, but none so small that scheduling it dominates.
  int64_t wanted = 4 * num_threads(), parts = larger(1, smaller(tiles, wanted / heads));
  int64_t tasks = smaller(heads * parts, larger(wanted, heads * parts / 8));
  parallel_tasks(tasks, [&](int64_t task) {
    Forward<T> forward(p, out, lse);
    int64_t begin = task * heads * parts / tasks, end = (task + 1) * heads * parts / tasks;
    common::with_scratch(forward.scratch_bytes(), [&](char* memory) {
      forward.use(memory);
      for (int64_t n = begin; n < end; ++n) {
        int64_t head = n / parts;
        forward.head(head / p.q.dim(1), head % p.q.dim(1), n % parts, parts);
      }
    });
  });
}

}  // namespace

void attention_forward(const AttentionProblem& problem, const Array& out, const Array& lse) {
  if (lse.numel() == 0) return;
  const Array* results[] = {&out};
  auto forward = [&](const AttentionProblem& p) {
    common::in_f32(results, 1, false, [&](const Array* wide) {
      dispatch_wide("attention", p.q.dtype(),
                    [&](auto type) { run<decltype(type)>(p, *wide, lse); });
    });
  };
  common::in_f32(problem, forward, !widens_in_place(problem));
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
