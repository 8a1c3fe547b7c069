// y_i = sum_j relu(a_i + b_j) v_j. Queries in rising order of a, keys in falling order of b: each
// query sees the keys that the one before it saw and some more, so one walk over both keeps the
// running sums of v and b v. The gradients are two more such walks:
//
//   dv_j = sum_i relu(a_i + b_j) g_i                    the same, keys asking and queries answering
//   da_i = g_i . sum_{b_j > -a_i} v_j
//   db_j = v_j . sum_{a_i > -b_j} g_i                  each walk's plain sum
//
// A task is one head and 16 channels, a cache line of f32, so that a single head has work for
// several cores. Sums over channels are added up by block of channels, in a fixed order.
#include <heed/backends/cpu/attention_tile.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/radix_order.h>
#include <heed/backends/cpu/scratch.h>
#include <heed/backends/cpu/widen.h>
#include <heed/backends/pairwise_relu.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

constexpr int64_t kChannels = 16;  // of a task
constexpr int64_t kAhead = 12;     // rows to be fetched: they come in no order of memory

// Who asks, in rising order, and who answers, in rising order and walked from the end.
template <class T>
struct Walk {
  const Ranked<T>* asking;
  int64_t asks;
  const Ranked<T>* answering;
  int64_t answers;
  Rows<T> from;  // what those who answer have
  Rows<T> to;    // sums of relu(x + y) from, or none
  bool add;      // to the sums that `to` holds
  Rows<T> own;   // of those who ask, for `dot`
  double* dot;   // own . (sum of from over x + y > 0), or null
};

// kWidth channels; 0: `width` of them. sum and weighted: kChannels zeros.
template <int kWidth, class T>
void walk(const Walk<T>& w, int64_t width, double* __restrict sum, double* __restrict weighted) {
  const int64_t n = kWidth ? kWidth : width;
  int64_t j = w.answers - 1;
  for (int64_t i = 0; i < w.asks; ++i) {
    const T x = w.asking[i].value();
    // Written so that a NaN answers everybody, and one that asks hears everybody.
    for (; j >= 0; --j) {
      const T y = w.answering[j].value();
      if (y <= -x) break;
      if (j >= kAhead) __builtin_prefetch(w.from.row(w.answering[j - kAhead].place));
      const T* row = w.from.row(w.answering[j].place);
      const double factor = static_cast<double>(y);
      for (int64_t c = 0; c < n; ++c) {
        const double value = static_cast<double>(row[c]);
        sum[c] += value;
        weighted[c] += factor * value;
      }
    }
    const int64_t place = w.asking[i].place;
    const bool answered = j < w.answers - 1;  // otherwise 0, also where something is infinite
    if (w.to) {
      const double factor = answered ? static_cast<double>(x) : 0;
      T* to = w.to.row(place);
      for (int64_t c = 0; c < n; ++c) {
        const T value = static_cast<T>(factor * sum[c] + weighted[c]);
        to[c] = w.add ? to[c] + value : value;
      }
    }
    if (w.dot) {
      const T* own = w.own.row(place);
      double total = 0;
      for (int64_t c = 0; c < n; ++c) total += static_cast<double>(own[c]) * sum[c];
      w.dot[place] = answered ? total : 0;
    }
  }
}

template <class T>
Rows<T> channels_from(Rows<T> rows, int64_t first) {
  return {rows ? rows.data + first : nullptr, rows.stride};
}

// The walk over `width` <= kChannels channels from `first` on.
template <class T>
void walk_channels(Walk<T> w, int64_t first, int64_t width) {
  alignas(64) double sum[kChannels] = {}, weighted[kChannels] = {};
  w.from = channels_from(w.from, first);
  w.to = channels_from(w.to, first);
  w.own = channels_from(w.own, first);
  if (width == kChannels) walk<kChannels>(w, width, sum, weighted);
  else walk<0>(w, width, sum, weighted);
}

// The order of a and of b in every head, and the sizes.
template <class T>
class PairwiseRelu {
 public:
  PairwiseRelu(const Array& a, const Array& b, const Array& v)
      : batch_(a.dim(0)),
        heads_(a.dim(1)),
        kv_(v.dim(1)),
        t_(a.dim(2)),
        s_(b.dim(2)),
        e_(v.dim(3)),
        blocks_((e_ + kChannels - 1) / kChannels),
        a_(a.data<T>()),
        b_(b.data<T>()),
        v_(v) {}

  int64_t order_bytes() const {
    return batch_ * heads_ * (t_ + s_) * static_cast<int64_t>(sizeof(Ranked<T>));
  }
  void sort(char* memory) {
    const int64_t units = batch_ * heads_;
    queries_ = reinterpret_cast<Ranked<T>*>(memory);
    keys_ = queries_ + units * t_;
    parallel_tasks(2 * units, [&](int64_t task) {
      const bool keys = task >= units;
      const int64_t unit = keys ? task - units : task, n = keys ? s_ : t_;
      const int64_t bytes = n * static_cast<int64_t>(sizeof(Ranked<T>));
      common::with_scratch(bytes, [&](char* other) {
        radix_order((keys ? b_ : a_) + unit * n, n, (keys ? keys_ : queries_) + unit * n,
                    reinterpret_cast<Ranked<T>*>(other));
      });
    });
  }

  void forward(const Array& out) const {
    parallel_tasks(batch_ * heads_ * blocks_, [&](int64_t task) {
      const int64_t unit = task / blocks_;
      Walk<T> w = queries_ask(unit, values(v_, unit));
      w.to = rows_of<T>(out, unit / heads_, unit % heads_);
      run(w, task % blocks_);
    });
  }

  // dots [B, H, blocks, T + S]: the parts of da and db by block of channels.
  int64_t dot_count() const { return batch_ * heads_ * blocks_ * (t_ + s_); }
  void backward(const Array& cotangent, const Array& dv, double* dots) const {
    const int64_t group = kv_ ? heads_ / kv_ : 1;
    parallel_tasks(batch_ * kv_ * blocks_, [&](int64_t task) {
      const int64_t block = task % blocks_, b = task / blocks_ / kv_, kv = task / blocks_ % kv_;
      for (int64_t g = 0; g < group; ++g) {
        const int64_t h = kv * group + g, unit = b * heads_ + h;
        double* dot = dots + (unit * blocks_ + block) * (t_ + s_);
        const Rows<T> v = rows_of<T>(v_, b, kv), own = rows_of<T>(cotangent, b, h);
        Walk<T> over_keys = queries_ask(unit, v);
        over_keys.own = own;
        over_keys.dot = dot;
        run(over_keys, block);
        Walk<T> over_queries{
            keys_ + unit * s_, s_, queries_ + unit * t_, t_, own, rows_of<T>(dv, b, kv), g > 0, v,
            dot + t_};
        run(over_queries, block);
      }
    });
  }

  void add_dots(const double* dots, T* da, T* db) const {
    const int64_t n = t_ + s_;
    parallel_for(batch_ * heads_ * n, 1 + 16384 / (blocks_ + 1), [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        const int64_t unit = at / n, i = at % n;
        double total = 0;
        for (int64_t block = 0; block < blocks_; ++block)
          total += dots[(unit * blocks_ + block) * n + i];
        if (i < t_) da[unit * t_ + i] = static_cast<T>(total);
        else db[unit * s_ + i - t_] = static_cast<T>(total);
      }
    });
  }

 private:
  Rows<T> values(const Array& x, int64_t unit) const {
    return rows_of<T>(x, unit / heads_, unit % heads_ / (heads_ / kv_));
  }
  Walk<T> queries_ask(int64_t unit, Rows<T> v) const {
    return {queries_ + unit * t_, t_, keys_ + unit * s_, s_, v, {}, false, {}, nullptr};
  }
  void run(const Walk<T>& w, int64_t block) const {
    const int64_t first = block * kChannels;
    walk_channels(w, first, smaller(kChannels, e_ - first));
  }

  int64_t batch_, heads_, kv_, t_, s_, e_, blocks_;
  const T *a_, *b_;
  const Array& v_;
  Ranked<T>*queries_ = nullptr, *keys_ = nullptr;
};

}  // namespace

void pairwise_relu(const Array& a, const Array& b, const Array& v, const Array& out) {
  if (out.numel() == 0) return;
  const Array wide_a = common::widened(a), wide_b = common::widened(b), wide_v = common::widened(v);
  const Array* results[] = {&out};
  common::in_f32(results, 1, false, [&](const Array* wide) {
    dispatch_wide("pairwise_relu", wide_a.dtype(), [&](auto type) {
      PairwiseRelu<decltype(type)> problem(wide_a, wide_b, wide_v);
      common::with_scratch(problem.order_bytes(), [&](char* memory) {
        problem.sort(memory);
        problem.forward(wide[0]);
      });
    });
  });
}

void pairwise_relu_backward(const Array& a, const Array& b, const Array& v, const Array& cotangent,
                            const Array& da, const Array& db, const Array& dv) {
  if (da.numel() + db.numel() == 0) return;
  const Array wide_a = common::widened(a), wide_b = common::widened(b), wide_v = common::widened(v),
              wide_g = common::widened(cotangent);
  const Array* results[] = {&da, &db, &dv};
  common::in_f32(results, 3, false, [&](const Array* wide) {
    dispatch_wide("pairwise_relu_backward", wide_a.dtype(), [&](auto type) {
      using T = decltype(type);
      PairwiseRelu<T> problem(wide_a, wide_b, wide_v);
      const int64_t sums = problem.dot_count() * static_cast<int64_t>(sizeof(double));
      common::with_scratch(problem.order_bytes(), [&](char* memory) {
        problem.sort(memory);
        common::with_scratch(sums, [&](char* dots) {
          problem.backward(wide_g, wide[2], reinterpret_cast<double*>(dots));
          problem.add_dots(reinterpret_cast<double*>(dots), wide[0].data<T>(), wide[1].data<T>());
        });
      });
    });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
