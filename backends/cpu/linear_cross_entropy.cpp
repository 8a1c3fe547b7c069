// A chunk of rows goes through two phases, each divided by classes, so that a thread always works
// on its own part of the weights and of their gradient:
//
//   1. logits of a block L = x W_b^T; its maximum m_b, E_b = exp(L - m_b) and sum s_b, by row
//      then, over all blocks: m = max m_b, Z = sum_b s_b exp(m_b - m); loss = m + log Z - ...
//   2. dL = E_b exp(m_b - m) / Z - smoothed target;  dx += dL W_b;  dW_b += dL^T x
//
// So exp is computed once, and a block is in cache in both phases.
#include <heed/backends/linear_cross_entropy.h>

#include <heed/backends/cpu/blas.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/backends/cpu/vectors.h>
#include <heed/backends/cpu/widen.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

constexpr double kInfinity = __builtin_inf();

template <class T>
struct Job {
  // Operands and results; null where absent.
  const T *x, *weight, *bias;
  const int64_t* target;
  T *dx, *dweight, *dbias;
  int64_t size, classes;     // D, V
  double smoothing, factor;  // factor: 1, or 1 / number of rows that count
  LinearCrossEntropyPlan plan;
  // Scratch; R = plan.rows.
  T *xs, *logits;             // [R, D] gathered rows; blocks [R, block], one after the other
  T *maxima, *sums, *totals;  // [blocks, R]: m_b, s_b, sum of logits
  // [R]: m, factor / Z, the target's logit, sum of logits
  T *row_max, *row_scale, *picked, *row_total;
  T* dx_parts;  // [pieces, R, D]
  T* db_parts;  // [pieces, block]

  // The current chunk.
  int64_t rows = 0;
  const int64_t* index = nullptr;
  bool first_chunk = true;

  bool wants_gradients() const { return dx || dweight || dbias; }
  int64_t piece_begin(int64_t p) const { return classes * p / plan.pieces; }
  int64_t first_block(int64_t p) const { return piece_begin(p) / plan.block + p; }
  int64_t blocks() const { return classes / plan.block + plan.pieces; }

  // f(block, first class, count, logits of the block)
  template <class F>
  void each_block(int64_t piece, F f) const {
    int64_t block = first_block(piece), end = piece_begin(piece + 1);
    for (int64_t v = piece_begin(piece); v < end; v += plan.block, ++block) {
      int64_t count = end - v < plan.block ? end - v : plan.block;
      f(block, v, count, logits + rows * v);
    }
  }

  void exponentials(int64_t piece) const {
    each_block(piece, [&](int64_t b, int64_t v, int64_t count, T* block) {
      blas::gemm(false, true, rows, count, size, T(1), xs, size, weight + v * size, size, T(0),
                 block, count);
      for (int64_t r = 0; r < rows; ++r) exp_row(block + r * count, v, count, r, b * plan.rows + r);
    });
  }

  void exp_row(T* row, int64_t v, int64_t count, int64_t r, int64_t stat) const {
    if (bias)
      each_vec<T>(count, [&](int64_t i, auto part) {
        store(row + i, load(row + i, part) + load(bias + v + i, part), part);
      });
    int64_t mine = target[index[r]] - v;
    if (mine >= 0 && mine < count) picked[r] = row[mine];
    Vec<T> best = -kInfinity, sum = 0.0, total = 0.0;
    each_vec<T>(count, [&](int64_t i, auto part) {
      best = max_keep(best, load(row + i, part, static_cast<T>(-kInfinity)));
      total += load(row + i, part);
    });
    T largest = lane_max(best);
    Vec<T> shift = largest == static_cast<T>(-kInfinity) ? 0.0 : static_cast<double>(largest);
    each_vec<T>(count, [&](int64_t i, auto part) {
      Vec<T> e = exp(load(row + i, part, static_cast<T>(-kInfinity)) - shift);
      store(row + i, e, part);
      sum += e;
    });
    maxima[stat] = largest;
    sums[stat] = lane_sum(sum);
    totals[stat] = lane_sum(total);
  }

  // m, Z and the loss of each row, from all blocks.
  double finish_rows() const {
    each_vec<T>(rows, [&](int64_t r, auto part) {
      Vec<T> best = -kInfinity, z = 0.0, total = 0.0;
      each_stat([&](int64_t s) { best = max_keep(best, load(maxima + s + r, part)); });
      best = select(best == Vec<T>(-kInfinity), Vec<T>(0.0), best);
      each_stat([&](int64_t s) {
        z += load(sums + s + r, part) * exp(load(maxima + s + r, part) - best);
        total += load(totals + s + r, part);
      });
      store(row_max + r, best, part);
      store(row_scale + r, z, part);
      store(row_total + r, total, part);
    });
    double loss = 0;
    for (int64_t r = 0; r < rows; ++r) {
      double m = static_cast<double>(row_max[r]), z = static_cast<double>(row_scale[r]);
      double row = __builtin_log(z) - (1 - smoothing) * (static_cast<double>(picked[r]) - m);
      if (smoothing > 0)
        row -= smoothing * (static_cast<double>(row_total[r]) / static_cast<double>(classes) - m);
      loss += row;
      row_scale[r] = z == 0 ? T(0) : static_cast<T>(factor / z);
    }
    return loss;
  }

  template <class F>
  void each_stat(F f) const {
    for (int64_t p = 0; p < plan.pieces; ++p)
      each_block(p, [&](int64_t b, int64_t, int64_t, T*) { f(b * plan.rows); });
  }

  void gradients(int64_t piece) const {
    T* partial = dx_parts + piece * plan.rows * size;
    bool first = true;
    each_block(piece, [&](int64_t b, int64_t v, int64_t count, T* block) {
      T* db = dbias ? db_parts + piece * plan.block : nullptr;
      if (db)
        for (int64_t i = 0; i < count; ++i) db[i] = 0;
      for (int64_t r = 0; r < rows; ++r)
        gradient_row(block + r * count, v, count, r, b * plan.rows + r, db);
      // L = x W^T + b:  dx = dL W, dW = dL^T x, db = sum_r dL
      if (dx)
        blas::gemm(false, false, rows, size, count, T(1), block, count, weight + v * size, size,
                   T(first ? 0 : 1), partial, size);
      if (dweight)
        blas::gemm(true, false, count, size, rows, T(1), block, count, xs, size,
                   T(first_chunk ? 0 : 1), dweight + v * size, size);
      for (int64_t i = 0; db && i < count; ++i)
        dbias[v + i] = first_chunk ? db[i] : dbias[v + i] + db[i];
      first = false;
    });
  }

  void gradient_row(T* row, int64_t v, int64_t count, int64_t r, int64_t stat, T* db) const {
    double relative = static_cast<double>(maxima[stat]) - static_cast<double>(row_max[r]);
    Vec<T> scale = __builtin_exp(relative) * static_cast<double>(row_scale[r]);
    Vec<T> even = -factor * smoothing / static_cast<double>(classes);
    each_vec<T>(count, [&](int64_t i, auto part) {
      store(row + i, fma(load(row + i, part), scale, even), part);
    });
    int64_t mine = target[index[r]] - v;
    if (mine >= 0 && mine < count) row[mine] -= static_cast<T>(factor * (1 - smoothing));
    if (db)
      each_vec<T>(count, [&](int64_t i, auto part) {
        store(db + i, load(db + i, part) + load(row + i, part), part);
      });
  }

  void scatter_dx() const {
    parallel_for(rows, 1 + 16384 / (size * plan.pieces), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        each_vec<T>(size, [&](int64_t i, auto part) {
          Vec<T> total = load(dx_parts + r * size + i, part);
          for (int64_t p = 1; p < plan.pieces; ++p)
            total += load(dx_parts + (p * plan.rows + r) * size + i, part);
          store(dx + index[r] * size + i, total, part);
        });
    });
  }

  double chunk() {
    parallel_for(rows, 1 + 32768 / size, [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r)
        for (int64_t i = 0; i < size; ++i) xs[r * size + i] = x[index[r] * size + i];
    });
    parallel_for(plan.pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) exponentials(p);
    });
    double loss = finish_rows();
    if (!wants_gradients()) return loss;
    parallel_for(plan.pieces, 1, [&](int64_t begin, int64_t end) {
      for (int64_t p = begin; p < end; ++p) gradients(p);
    });
    if (dx) scatter_dx();
    first_chunk = false;
    return loss;
  }
};

template <class T>
void zero(T* p, int64_t n) {
  for (int64_t i = 0; p && i < n; ++i) p[i] = T(0);
}

template <class T>
void run(const Array& x, const Array& weight, const Array& bias, const Array& target,
         double smoothing, int64_t ignore_index, bool mean, const Array& scratch, const Array& loss,
         const Array& dx, const Array& dweight, const Array& dbias) {
  blas::setup();
  const int64_t all = x.shape()[0], size = x.shape()[1], classes = weight.shape()[0];
  Job<T> job{};
  job.x = pointer<T>(x), job.weight = pointer<T>(weight), job.bias = pointer<T>(bias);
  job.target = pointer<int64_t>(target);
  job.dx = pointer<T>(dx), job.dweight = pointer<T>(dweight), job.dbias = pointer<T>(dbias);
  job.size = size, job.classes = classes, job.smoothing = smoothing;
  job.plan = linear_cross_entropy_plan(all, size, classes, loss.dtype());

  auto* valid = static_cast<int64_t*>(scratch.raw());
  T* free = reinterpret_cast<T*>(valid + all);
  auto take = [&](int64_t count) {
    T* taken = free;
    free += count;
    return taken;
  };
  const int64_t r = job.plan.rows, stats = job.blocks() * r;
  job.xs = take(r * size), job.logits = take(r * classes),
  job.dx_parts = take(job.plan.pieces * r * size);
  job.maxima = take(stats), job.sums = take(stats), job.totals = take(stats);
  job.row_max = take(r), job.row_scale = take(r), job.picked = take(r), job.row_total = take(r);
  job.db_parts = take(job.plan.pieces * job.plan.block);

  int64_t count = 0;
  for (int64_t i = 0; i < all; ++i) {
    const int64_t t = job.target[i];
    if (t != ignore_index && t >= 0 && t < classes) valid[count++] = i;
    else if (job.dx) zero(job.dx + i * size, size);
  }
  job.factor = mean && count > 0 ? 1 / static_cast<double>(count) : 1;
  double total = 0;
  for (int64_t first = 0; first < count; first += r) {
    job.rows = count - first < r ? count - first : r;
    job.index = valid + first;
    total += job.chunk();
  }
  if (count == 0) {
    zero(job.dweight, classes * size);
    zero(job.dbias, classes);
  }
  *static_cast<T*>(loss.raw()) = static_cast<T>(total * job.factor);
}

}  // namespace

void linear_cross_entropy(const Array& x, const Array& weight, const Array& bias,
                          const Array& target, double smoothing, int64_t ignore_index, bool mean,
                          const Array& scratch, const Array& loss, const Array& dx,
                          const Array& dweight, const Array& dbias) {
  const Array* gradients[] = {&dx, &dweight, &dbias};
  common::in_f32(gradients, 3, false, [&](const Array* g) {
    dispatch_wide("linear_cross_entropy", loss.dtype(), [&](auto type) {
      run<decltype(type)>(common::widened(x), common::widened(weight), common::widened(bias),
                          target, smoothing, ignore_index, mean, scratch, loss, g[0], g[1], g[2]);
    });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
