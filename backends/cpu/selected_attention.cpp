// Softmax attention over listed keys, one query at a time: dot products with the listed rows,
// softmax over the list, weighted sum. Backward visits the same pairs only. One task computes dK
// and dV of one key head, so sums have a fixed order.
#include <heed/backends/cpu/attention_tile.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/vectors.h>
#include <heed/backends/cpu/widen.h>
#include <heed/backends/selected_attention.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

template <class T>
T dot(const T* a, const T* b, int64_t n) {
  Vec<T> sum = 0.0;
  each_vec<T>(n,
              [&](int64_t c, auto part) { sum = fma(load(a + c, part), load(b + c, part), sum); });
  return lane_sum(sum);
}

// to += factor from
template <class T>
void add_row(T factor, const T* from, T* to, int64_t n) {
  const Vec<T> f = typename Vec<T>::Batch(factor);
  each_vec<T>(n, [&](int64_t c, auto part) {
    store(to + c, fma(f, load(from + c, part), load(to + c, part)), part);
  });
}

template <class T>
class Selected {
 public:
  Selected(const AttentionProblem& p, const SelectedKeys& s)
      : p_(p),
        s_(s),
        stream_(p.key),
        n_(s.index.dim(3)),
        t_(p.q.dim(2)),
        d_(p.q.dim(3)),
        e_(p.v.dim(3)),
        group_(p.q.dim(1) / p.k.dim(1)) {}

  int64_t scratch_bytes() {
    Scratch count;
    layout(count);
    return count.used();
  }
  void use(char* memory) {
    Scratch scratch(memory);
    layout(scratch);
  }

  void forward(int64_t b, int64_t h, Range rows, const Array& out_array, T* lse_array) {
    HeadTerms<T> terms(p_, b, h, distances_, kTileLanes<T>);
    Rows<T> q = rows_of<T>(p_.q, b, h), k = rows_of<T>(p_.k, b, h / group_),
            v = rows_of<T>(p_.v, b, h / group_), out = rows_of<T>(out_array, b, h);
    T* lse = lse_array + (b * terms.heads + h) * t_;
    for (int64_t i = rows.begin; i < rows.end; ++i) {
      T* to = out.row(i);
      for (int64_t c = 0; c < e_; ++c) to[c] = T(0);
      lse[i] = -static_cast<T>(__builtin_inf());
      const int32_t* keys = list(terms, i);
      T most = scores(terms, q.row(i), k, keys, i);
      if (most == lse[i]) continue;
      double total = 0;
      for (int64_t n = 0; n < n_; ++n) weights_[n] -= most;
      exponentials();
      for (int64_t n = 0; n < n_; ++n) total += static_cast<double>(weights_[n]);
      const T sum = static_cast<T>(total);
      drop(terms, keys, i);
      for (int64_t n = 0; n < n_; ++n)
        if (keys[n] >= 0 && weights_[n] != T(0))
          add_row(weights_[n] / sum * keep_[n], v.row(keys[n]), to, e_);
      lse[i] = most + static_cast<T>(__builtin_log(total));
    }
  }

  // All heads of one key head; `table`: sums [H, buckets] or null.
  void backward(int64_t b, int64_t kv, const Array& out_array, const T* lse_array,
                const Array& cotangent, const AttentionGradients& g, double* table) {
    Rows<T> k = rows_of<T>(p_.k, b, kv), v = rows_of<T>(p_.v, b, kv), dk = rows_of<T>(g.k, b, kv),
            dv = rows_of<T>(g.v, b, kv);
    clear(dk, p_.k.dim(2), d_);
    clear(dv, p_.k.dim(2), e_);
    for (int64_t h = kv * group_; h < (kv + 1) * group_; ++h) {
      HeadTerms<T> terms(p_, b, h, distances_, kTileLanes<T>);
      Rows<T> q = rows_of<T>(p_.q, b, h), out = rows_of<T>(out_array, b, h),
              dout = rows_of<T>(cotangent, b, h), dq = rows_of<T>(g.q, b, h);
      clear(dq, t_, d_);
      const T* lse = lse_array + (b * terms.heads + h) * t_;
      for (int64_t i = 0; i < t_; ++i) {
        if (lse[i] == -static_cast<T>(__builtin_inf())) continue;
        const int32_t* keys = list(terms, i);
        scores(terms, q.row(i), k, keys, i);
        for (int64_t n = 0; n < n_; ++n) weights_[n] -= lse[i];
        exponentials();
        drop(terms, keys, i);
        T delta = dot(dout.row(i), out.row(i), e_);
        for (int64_t n = 0; n < n_; ++n) {
          int64_t j = keys[n];
          if (j < 0) continue;
          if (dv) add_row(weights_[n] * keep_[n], dout.row(i), dv.row(j), e_);
          if (s_.has_self_score && j == i) continue;  // a constant
          T ds = weights_[n] * (keep_[n] * dot(dout.row(i), v.row(j), e_) - delta);
          T scaled = ds * static_cast<T>(p_.scale);
          if (dq) add_row(scaled, k.row(j), dq.row(i), d_);
          if (dk) add_row(scaled, q.row(i), dk.row(j), d_);
          if (g.bias.defined()) add_bias(g.bias, b, h, i, j, ds);
          if (table)
            table[h * g.relative_table.dim(1) + terms.bucket(p_, i - j + terms.s - 1)] +=
                static_cast<double>(ds);
        }
      }
    }
  }

 private:
  void layout(Scratch& scratch) {
    weights_ = scratch.take<T>(n_ + 64);
    keep_ = scratch.take<T>(n_);
    distances_ = scratch.take<T>(HeadTerms<T>::distance_count(p_, kTileLanes<T>));
  }

  const int32_t* list(const HeadTerms<T>& terms, int64_t i) const {
    return static_cast<const int32_t*>(s_.index.raw()) +
           ((terms.b * terms.heads + terms.h) * t_ + i) * n_;
  }

  // weights = the scores, -inf where no key is listed; returns the largest, NaN if one is NaN.
  T scores(const HeadTerms<T>& terms, const T* q, Rows<T> k, const int32_t* keys, int64_t i) {
    const T lowest = -static_cast<T>(__builtin_inf());
    T most = lowest;
    for (int64_t n = 0; n < n_; ++n) {
      int64_t j = keys[n];
      weights_[n] = lowest;
      if (j < 0) continue;
      T score = static_cast<T>(p_.scale) * dot(q, k.row(j), d_);
      if (terms.by_distance) score += terms.by_distance[i - j + terms.s - 1];
      if (terms.bias) score += terms.bias[i * terms.bias_t + j * terms.bias_s];
      if (s_.has_self_score && j == i) score = static_cast<T>(s_.self_score);
      weights_[n] = score;
      if (score > most || score != score) most = score;
    }
    return most;
  }

  void exponentials() {
    each_vec<T>(n_, [&](int64_t n, auto part) {
      store(weights_ + n, exp(load(weights_ + n, part)), part);
    });
  }

  void drop(const HeadTerms<T>& terms, const int32_t* keys, int64_t i) {
    int64_t first = ((terms.b * terms.heads + terms.h) * terms.t + i) * terms.s;
    for (int64_t n = 0; n < n_; ++n) {
      keep_[n] = T(1);
      if (p_.dropout > 0 && keys[n] >= 0)
        keep_scales(keep_ + n, 1, stream_, static_cast<uint64_t>(first + keys[n]), p_.dropout);
    }
  }

  static void clear(Rows<T> rows, int64_t count, int64_t columns) {
    if (!rows) return;
    for (int64_t i = 0; i < count; ++i)
      for (int64_t c = 0; c < columns; ++c) rows.row(i)[c] = T(0);
  }

  static void add_bias(const Array& bias, int64_t b, int64_t h, int64_t i, int64_t j, T ds) {
    const int64_t at[4] = {b, h, i, j};
    int64_t place = 0;
    for (int n = 0; n < 4; ++n)
      if (bias.shape()[n] > 1) place += at[n] * bias.strides()[n];
    static_cast<T*>(bias.raw())[place] += ds;
  }

  const AttentionProblem& p_;
  const SelectedKeys& s_;
  PhiloxStream stream_;
  int64_t n_, t_, d_, e_, group_;
  T *weights_, *keep_, *distances_;
};

template <class T>
void run_forward(const AttentionProblem& p, const SelectedKeys& s, const Array& out,
                 const Array& lse) {
  int64_t heads = p.q.dim(0) * p.q.dim(1), t = p.q.dim(2);
  int64_t parts = larger(1, smaller((t + 15) / 16, 4 * num_threads() / heads));
  parallel_tasks(heads * parts, [&](int64_t task) {
    Selected<T> mine(p, s);
    int64_t head = task / parts, part = task % parts;
    common::with_scratch(mine.scratch_bytes(), [&](char* memory) {
      mine.use(memory);
      mine.forward(head / p.q.dim(1), head % p.q.dim(1), {part * t / parts, (part + 1) * t / parts},
                   out, static_cast<T*>(lse.raw()));
    });
  });
}

template <class T>
void run_backward(const AttentionProblem& p, const SelectedKeys& s, const Array& out,
                  const Array& lse, const Array& cotangent, const AttentionGradients& g) {
  int64_t units = p.k.dim(0) * p.k.dim(1), buckets = 0;
  if (g.relative_table.defined()) buckets = g.relative_table.numel();
  // Gradients of biases are sums over heads or batch rows: then units run one after the other.
  bool shared = buckets > 0 || g.bias.defined();
  int64_t tasks = shared ? 1 : units;
  common::with_scratch(larger(1, buckets) * static_cast<int64_t>(sizeof(double)), [&](char* sums) {
    double* table = buckets > 0 ? reinterpret_cast<double*>(sums) : nullptr;
    for (int64_t n = 0; n < buckets; ++n) table[n] = 0;
    parallel_tasks(tasks, [&](int64_t task) {
      Selected<T> mine(p, s);
      common::with_scratch(mine.scratch_bytes(), [&](char* memory) {
        mine.use(memory);
        for (int64_t unit = task; unit < units; unit += tasks)
          mine.backward(unit / p.k.dim(1), unit % p.k.dim(1), out, static_cast<const T*>(lse.raw()),
                        cotangent, g, table);
      });
    });
    for (int64_t n = 0; n < buckets; ++n)
      static_cast<T*>(g.relative_table.raw())[n] = static_cast<T>(table[n]);
  });
}

}  // namespace

void selected_attention_forward(const AttentionProblem& problem, const SelectedKeys& selected,
                                const Array& out, const Array& lse) {
  if (lse.numel() == 0) return;
  const Array* results[] = {&out};
  common::in_f32(problem, [&](const AttentionProblem& p) {
    common::in_f32(results, 1, false, [&](const Array* wide) {
      dispatch_wide("selected_attention", p.q.dtype(),
                    [&](auto type) { run_forward<decltype(type)>(p, selected, *wide, lse); });
    });
  });
}

void selected_attention_backward(const AttentionProblem& problem, const SelectedKeys& selected,
                                 const Array& out, const Array& lse, const Array& cotangent,
                                 const AttentionGradients& gradients) {
  if (problem.q.dim(0) * problem.k.dim(1) == 0) return;
  common::in_f32(problem, [&](const AttentionProblem& p) {
    common::in_f32(gradients, [&](const AttentionGradients& g) {
      dispatch_wide("selected_attention_backward", p.q.dtype(), [&](auto type) {
        run_backward<decltype(type)>(p, selected, common::widened(out), lse,
                                     common::widened(cotangent), g);
      });
    });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
