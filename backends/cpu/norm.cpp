#include <heed/backends/norm.h>

#include <heed/backends/cpu/vectors.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

template <class T>
T* pointer(const Array& a) {
  return a.defined() ? static_cast<T*>(a.raw()) : nullptr;
}

template <class T>
struct Forward {
  const T *x, *residual, *weight, *bias;
  T *sum, *mean, *rstd, *out;
  double eps;
  int64_t size;

  void row(int64_t r) const {
    const T* s = x + r * size;
    T* y = out + r * size;
    if (residual) {
      T* target = sum ? sum + r * size : y;
      const T* other = residual + r * size;
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
    double inverse = 1 / __builtin_sqrt(squares.value() / static_cast<double>(size) + eps);
    rstd[r] = static_cast<T>(inverse);
    Vec<T> scale = inverse;
    each_vec<T>(size, [&](int64_t i, auto part) {
      Vec<T> v = (load(s + i, part) - mu) * scale;
      if (weight) v *= load(weight + i, part);
      if (bias) v += load(bias + i, part);
      store(y + i, v, part);
    });
  }
};

template <class T>
struct Backward {
  const T *x, *weight, *mean, *rstd, *g;
  T* dx;
  double* scratch;  // of one piece: [2, size], or null
  int64_t size;

  // y = xhat w + b, xhat = (x - mean) rstd. With h = g w:
  // dx = rstd (h - mean(h) - xhat mean(h xhat)); RMS norm: without mean(h).
  void row(int64_t r) const {
    const T *px = x + r * size, *pg = g + r * size;
    T* to = dx + r * size;
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

  // dw += g xhat, db += g: a stretch of rows in registers, then double.
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

template <class T>
void forward(const Array& x, const Array& residual, const Array& weight, const Array& bias,
             double eps, const Array& sum, const Array& mean, const Array& rstd, const Array& out) {
  int64_t size = x.shape()[x.rank() - 1];
  if (size == 0) return;
  Forward<T> f{pointer<T>(x),
               pointer<T>(residual),
               pointer<T>(weight),
               pointer<T>(bias),
               pointer<T>(sum),
               pointer<T>(mean),
               pointer<T>(rstd),
               pointer<T>(out),
               eps,
               size};
  parallel_for(x.numel() / size, 1 + 16384 / size, [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) f.row(r);
  });
}

template <class T>
void backward(const Array& x, const Array& weight, const Array& mean, const Array& rstd,
              const Array& cotangent, const Array& scratch, const Array& dx, const Array& dweight,
              const Array& dbias) {
  int64_t size = x.shape()[x.rank() - 1];
  if (size == 0) return;
  int64_t rows = x.numel() / size, pieces = norm_pieces(x.shape());
  double* sums = pointer<double>(scratch);
  Backward<T> f{pointer<T>(x),         pointer<T>(weight), pointer<T>(mean), pointer<T>(rstd),
                pointer<T>(cotangent), pointer<T>(dx),     nullptr,          size};
  parallel_for(pieces, 1, [&](int64_t begin, int64_t end) {
    for (int64_t p = begin; p < end; ++p) {
      Backward<T> piece = f;
      if (sums) piece.scratch = sums + p * 2 * size;
      piece.rows(rows * p / pieces, rows * (p + 1) / pieces);
    }
  });
  for (int64_t which = 0; which < 2; ++which) {
    T* to = pointer<T>(which == 0 ? dweight : dbias);
    if (!to) continue;
    for (int64_t i = 0; i < size; ++i) {
      double total = 0;
      for (int64_t p = 0; p < pieces; ++p) total += sums[(2 * p + which) * size + i];
      to[i] = static_cast<T>(total);
    }
  }
}

}  // namespace

void norm(const Array& x, const Array& residual, const Array& weight, const Array& bias, double eps,
          const Array& sum, const Array& mean, const Array& rstd, const Array& out) {
  auto* f = x.dtype() == DType::f32 ? &forward<float> : &forward<double>;
  f(x, residual, weight, bias, eps, sum, mean, rstd, out);
}

void norm_backward(const Array& x, const Array& weight, const Array& mean, const Array& rstd,
                   const Array& cotangent, const Array& scratch, const Array& dx,
                   const Array& dweight, const Array& dbias) {
  auto* f = x.dtype() == DType::f32 ? &backward<float> : &backward<double>;
  f(x, weight, mean, rstd, cotangent, scratch, dx, dweight, dbias);
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
