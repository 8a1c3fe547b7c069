// The keys of largest score of each query, by tiles: scores as in attention's forward, of which
// each query keeps its best N so far. A tile whose largest score does not exceed the worst score
// kept costs two comparisons per vector. NaN counts as larger than all numbers, so that it reaches
// the output.
#include <heed/backends/cpu/attention_tile.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/widen.h>
#include <heed/backends/selected_attention.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

template <class T>
bool exceeds(T a, T b) {
  return a > b || (a != a && b == b);
}

// The best N of one query: filled in order, then a heap with the worst at the root. Among equal
// scores the highest key is the worst.
template <class T>
struct Best {
  T* score;
  int32_t* key;
  int64_t limit, count;

  bool worse(int64_t a, int64_t b) const {
    if (exceeds(score[b], score[a])) return true;
    return !exceeds(score[a], score[b]) && key[a] > key[b];
  }
  bool later(int64_t a, int64_t b) const { return key[a] > key[b]; }
  void swap(int64_t a, int64_t b) {
    T s = score[a];
    score[a] = score[b];
    score[b] = s;
    int32_t k = key[a];
    key[a] = key[b];
    key[b] = k;
  }
  // Restores the heap of `size` entries below `at`, in either order.
  template <bool kByKey>
  void sink(int64_t at, int64_t size) {
    for (int64_t child = 2 * at + 1; child < size; at = child, child = 2 * at + 1) {
      auto first = [&](int64_t a, int64_t b) { return kByKey ? later(a, b) : worse(a, b); };
      if (child + 1 < size && first(child + 1, child)) ++child;
      if (!first(child, at)) return;
      swap(child, at);
    }
  }
  template <bool kByKey>
  void make_heap() {
    for (int64_t n = count / 2 - 1; n >= 0; --n) sink<kByKey>(n, count);
  }

  // Keys arrive in rising order. Returns the score that later candidates have to exceed.
  T insert_candidate(T s, int32_t k) {
    if (count < limit) {
      score[count] = s;
      key[count++] = k;
      if (count < limit) return -static_cast<T>(__builtin_inf());
      make_heap<false>();
    } else {
      score[0] = s;
      key[0] = k;
      sink<false>(0, count);
    }
    return score[0];
  }
  void write(int32_t* to) {
    if (count == limit) {  // otherwise they are in order already
      make_heap<true>();
      for (int64_t n = count - 1; n > 0; --n) {
        swap(0, n);
        sink<true>(0, n);
      }
    }
    for (int64_t n = 0; n < limit; ++n) to[n] = n < count ? key[n] : -1;
  }
};

template <class T>
class Search {
 public:
  Search(const AttentionProblem& p, const Array& index)
      : p_(p),
        index_(static_cast<int32_t*>(index.raw())),
        limit_(index.dim(3)),
        t_(p.q.dim(2)),
        d_(p.q.dim(3)) {}

  int64_t scratch_bytes() {
    Scratch count;
    layout(count);
    return count.used();
  }
  void use(char* memory) {
    Scratch scratch(memory);
    layout(scratch);
    for (int64_t n = 0; n < d_ * kTileLanes<T>; ++n) queries_[n] = T(0);
  }

  // Query tiles part, part + parts, ... of one head.
  void head(int64_t b, int64_t h, int64_t part, int64_t parts) {
    HeadTerms<T> terms(p_, b, h, distances_, kTileLanes<T>);
    Rows<T> q = rows_of<T>(p_.q, b, h), k = rows_of<T>(p_.k, b, h / (p_.q.dim(1) / p_.k.dim(1)));
    int32_t* index = index_ + (b * terms.heads + h) * t_ * limit_;
    if (part == 0)
      for (int64_t i = 0; i < t_; ++i)
        if (i < terms.queries.begin || i >= terms.queries.end)
          for (int64_t n = 0; n < limit_; ++n) index[i * limit_ + n] = -1;
    constexpr int64_t size = kTileLanes<T>;
    for (int64_t n = part; n < terms.tile_count(size); n += parts) {
      Range x = terms.tile_at(n, size);
      if (!x.empty()) tile(terms, q, k, x.begin, x.end - x.begin, index);
    }
  }

 private:
  void layout(Scratch& scratch) {
    constexpr int64_t lanes = kTileLanes<T>;
    queries_ = scratch.take<T>(d_ * lanes);
    tile_ = scratch.take<T>(kTileKeys * lanes);
    threshold_ = scratch.take<T>(lanes);
    largest_ = scratch.take<T>(lanes);
    distances_ = scratch.take<T>(HeadTerms<T>::distance_count(p_, lanes));
    scores_ = scratch.take<T>(lanes * limit_);
    keys_ = scratch.take<int32_t>(lanes * limit_);
    counts_ = scratch.take<int64_t>(lanes);
  }

  void tile(const HeadTerms<T>& terms, Rows<T> q, Rows<T> k, int64_t i, int64_t count,
            int32_t* index) {
    int64_t lanes = round_up(count, Vec<T>::width);
    transpose(q.row(i), q.stride, count, d_, queries_, lanes, static_cast<T>(p_.scale));
    for (int64_t n = 0; n < lanes; ++n) {
      threshold_[n] = -static_cast<T>(__builtin_inf());
      counts_[n] = 0;
    }
    terms.each_tile(i, count, kTileKeys, [&](const Tile& x, bool) {
      product<T, Layout::rows>(x.keys, x.lanes,
                               {d_, k.row(x.j), k.stride, queries_ + x.skip, lanes, tile_, x.lanes,
                                Into::overwrite, nullptr});
      terms.apply(x, tile_);
      insert_candidates(x);
    });
    for (int64_t n = 0; n < count; ++n) best(n).write(index + (i + n) * limit_);
  }

  Best<T> best(int64_t lane) const {
    return {scores_ + lane * limit_, keys_ + lane * limit_, limit_, counts_[lane]};
  }

  void insert_candidates(const Tile& x) {
    for (int64_t i = 0; i < x.lanes; i += Vec<T>::width) {
      Vec<T> most = Vec<T>::load(tile_ + i);
      for (int64_t j = 1; j < x.keys; ++j) {
        Vec<T> score = Vec<T>::load(tile_ + j * x.lanes + i);
        most = where(score == score, max_keep(most, score), score);
      }
      most.store(largest_ + i);
    }
    for (int64_t i = 0; i < x.count; ++i) {
      const int64_t lane = x.skip + i;
      if (!exceeds(largest_[i], threshold_[lane])) continue;
      Best<T> mine = best(lane);
      for (int64_t j = 0; j < x.keys; ++j) {
        T score = tile_[j * x.lanes + i];
        if (exceeds(score, threshold_[lane]))
          threshold_[lane] = mine.insert_candidate(score, static_cast<int32_t>(x.j + j));
      }
      counts_[lane] = mine.count;
    }
  }

  const AttentionProblem& p_;
  int32_t* index_;
  int64_t limit_, t_, d_;
  T *queries_, *tile_, *threshold_, *largest_, *distances_, *scores_;
  int32_t* keys_;
  int64_t* counts_;
};

template <class T>
void run(const AttentionProblem& p, const Array& index) {
  int64_t heads = p.q.dim(0) * p.q.dim(1), tiles = (p.q.dim(2) + kTileLanes<T> - 1) / kTileLanes<T>;
  int64_t wanted = 4 * num_threads(), parts = larger(1, smaller(tiles, wanted / heads));
  parallel_tasks(heads * parts, [&](int64_t task) {
    Search<T> search(p, index);
    common::with_scratch(search.scratch_bytes(), [&](char* memory) {
      search.use(memory);
      int64_t head = task / parts;
      search.head(head / p.q.dim(1), head % p.q.dim(1), task % parts, parts);
    });
  });
}

}  // namespace

void attention_topk(const AttentionProblem& problem, const Array& index) {
  if (index.numel() == 0) return;
  common::in_f32(problem, [&](const AttentionProblem& p) {
    dispatch_wide("attention_topk", p.q.dtype(), [&](auto type) { run<decltype(type)>(p, index); });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
