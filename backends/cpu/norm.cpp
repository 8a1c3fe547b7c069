#include <heed/backends/norm.h>

#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/moments.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// S: the arrays' type. Rows are computed in T, which is also the type of mean and rstd.
template <class S>
struct Forward {
  using T = accumulate_t<S>;
  const S *x, *residual, *weight, *bias;
  S *sum, *out;
  T *mean, *rstd;
  double eps;
  int64_t size;

  void row(int64_t r) const {
    const S* s = x + r * size;
    S* y = out + r * size;
    if (residual) {
      S* target = sum ? sum + r * size : y;
      const S* other = residual + r * size;
      each_vec<T>(size, [&](int64_t i, auto part) {
        store(target + i, load(s + i, part) + load(other + i, part), part);
      });
      s = target;
    }
    double center = 0;
    if (mean) {
      LongSum<T> total;
      each_vec<T>(size, [&](int64_t i, auto part) { total.add(load(s + i, part)); });
      mean[r] = static_cast<T>(total.value() / static_cast<double>(size));
      center = static_cast<double>(mean[r]);
    }
    LongSum<T> squares;  // about the mean, in a second pass: E x^2 - (E x)^2 cancels
    Vec<T> mu = center;
    each_vec<T>(size, [&](int64_t i, auto part) {
      Vec<T> d = load(s + i, part, static_cast<T>(center)) - mu;
      squares.add(d * d);
    });
    double total = squares.value();
    if (!__builtin_isfinite(total)) total = wide_squares(s, r, mu);
    double inverse = 1 / __builtin_sqrt(total / static_cast<double>(size) + eps);
    rstd[r] = static_cast<T>(inverse);
    Vec<T> scale = inverse;
    each_vec<T>(size, [&](int64_t i, auto part) {
      Vec<T> v = (load(s + i, part) - mu) * scale;
      if (weight) v *= load(weight + i, part);
      if (bias) v += load(bias + i, part);
      store(y + i, v, part);
    });
  }

  // Where the sums of finite numbers overflow T; the mean is taken again as well.
  __attribute__((noinline)) double wide_squares(const S* s, int64_t r, Vec<T>& mu) const {
    const Moments m = wide_moments_of(s, size);
    if (!mean) return m.squares + m.count * m.mean * m.mean;
    mean[r] = static_cast<T>(m.mean);
    mu = m.mean;
    return m.squares;
  }
};

template <class S>
struct Backward {
  using T = accumulate_t<S>;
  const S *x, *weight;
  const T *mean, *rstd;
  const S* g;
  S* dx;
  double* scratch;  // of one piece: [2, size], or null
  int64_t size;

  // y = xhat w + b, xhat = (x - mean) rstd. With h = g w:
  // dx = rstd (h - mean(h) - xhat mean(h xhat)); RMS norm: without mean(h).
  void row(int64_t r) const {
    const S *px = x + r * size, *pg = g + r * size;
    S* to = dx + r * size;
    Vec<T> mu = mean ? static_cast<double>(mean[r]) : 0.0, scale = static_cast<double>(rstd[r]);
    LongSum<T> sum_h, sum_hx;
    each_vec<T>(size, [&](int64_t i, auto part) {
      Vec<T> h = load(pg + i, part);
      if (weight) h *= load(weight + i, part);
      if (mean) sum_h.add(h);
      sum_hx.add(h * ((load(px + i, part) - mu) * scale));
    });
    Vec<T> a = mean ? sum_h.value() / static_cast<double>(size) : 0.0;
    Vec<T> b = sum_hx.value() / static_cast<double>(size);
    each_vec<T>(size, [&](int64_t i, auto part) {
      Vec<T> h = load(pg + i, part);
      if (weight) h *= load(weight + i, part);
      store(to + i, scale * (h - a - (load(px + i, part) - mu) * scale * b), part);
    });
  }

  // dw += g xhat, db += g: in registers over a number of rows, then in double.
  void parameters(int64_t begin, int64_t end) const {
    each_vec<T>(size, [&](int64_t i, auto part) {
      Vec<T> dw = 0.0, db = 0.0;
      for (int64_t r = begin; r < end; ++r) {
        Vec<T> gr = load(g + r * size + i, part);
        Vec<T> mu = mean ? static_cast<double>(mean[r]) : 0.0;
        dw += gr * ((load(x + r * size + i, part) - mu) * Vec<T>(static_cast<double>(rstd[r])));
        db += gr;
      }
      alignas(64) T w[Vec<T>::width] = {}, c[Vec<T>::width] = {};
      dw.store(w);
      db.store(c);
      for (int64_t k = 0; k < count(part); ++k) {
        scratch[i + k] += static_cast<double>(w[k]);
        scratch[size + i + k] += static_cast<double>(c[k]);
      }
    });
  }
  static int64_t count(FullVec) { return Vec<T>::width; }
  static int64_t count(PartVec part) { return part.count; }

  void rows(int64_t begin, int64_t end) const {
    constexpr int64_t kStretch = 16;
    if (scratch)
      for (int64_t i = 0; i < 2 * size; ++i) scratch[i] = 0;
    for (int64_t first = begin; first < end; first += kStretch) {
      int64_t last = first + kStretch < end ? first + kStretch : end;
      if (scratch) parameters(first, last);  // before dx, which may overwrite g
      if (dx)
        for (int64_t r = first; r < last; ++r) row(r);
    }
  }
};

template <class S>
void forward(const Array& x, const Array& residual, const Array& weight, const Array& bias,
             double eps, const Array& sum, const Array& mean, const Array& rstd, const Array& out) {
  int64_t size = x.shape()[x.rank() - 1];
  if (size == 0) return;
  using T = accumulate_t<S>;
  Forward<S> f{pointer<S>(x),
               pointer<S>(residual),
               pointer<S>(weight),
               pointer<S>(bias),
               pointer<S>(sum),
               pointer<S>(out),
               pointer<T>(mean),
               pointer<T>(rstd),
               eps,
               size};
  parallel_for(x.numel() / size, 1 + 16384 / size, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) f.row(r);
  });
}

template <class S>
void backward(const Array& x, const Array& weight, const Array& mean, const Array& rstd,
              const Array& cotangent, const Array& scratch, const Array& dx, const Array& dweight,
              const Array& dbias) {
  int64_t size = x.shape()[x.rank() - 1];
  if (size == 0) return;
  int64_t rows = x.numel() / size, pieces = norm_pieces(x.shape());
  double* sums = pointer<double>(scratch);
  using T = accumulate_t<S>;
  Backward<S> f{pointer<S>(x),         pointer<S>(weight), pointer<T>(mean), pointer<T>(rstd),
                pointer<S>(cotangent), pointer<S>(dx),     nullptr,          size};
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      Backward<S> piece = f;
      if (sums) piece.scratch = sums + p * 2 * size;
      piece.rows(rows * p / pieces, rows * (p + 1) / pieces);
    }
  });
  for (int64_t which = 0; which < 2; ++which) {
    S* to = pointer<S>(which == 0 ? dweight : dbias);
    if (!to) continue;
    for (int64_t i = 0; i < size; ++i) {
      double total = 0;
      for (int64_t p = 0; p < pieces; ++p) total += sums[(2 * p + which) * size + i];
      to[i] = narrowed<S>(total);
    }
  }
}

}  // namespace

void norm(const Array& x, const Array& residual, const Array& weight, const Array& bias, double eps,
          const Array& sum, const Array& mean, const Array& rstd, const Array& out) {
  dispatch_floating("norm", x.dtype(), [&](auto type) {
    forward<decltype(type)>(x, residual, weight, bias, eps, sum, mean, rstd, out);
  });
}

void norm_backward(const Array& x, const Array& weight, const Array& mean, const Array& rstd,
                   const Array& cotangent, const Array& scratch, const Array& dx,
                   const Array& dweight, const Array& dbias) {
  dispatch_floating("norm_backward", x.dtype(), [&](auto type) {
    backward<decltype(type)>(x, weight, mean, rstd, cotangent, scratch, dx, dweight, dbias);
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
