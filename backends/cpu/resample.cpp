// A row of the result is made in two steps: the rows of x that it sees are summed up, whole and
// with their weights, and then the sum's elements. Rows do not depend on each other.
#include <heed/backends/resample.h>

#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/backends/cpu/scratch.h>
#include <heed/backends/cpu/vectors.h>
#include <heed/backends/cpu/window_ranges.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// The weights of a window, in all three kinds.
template <class T>
struct Weights {
  const T* first;
  int64_t step;  // 0: the same for all elements
  T operator[](int64_t k) const { return first[k * step]; }
};

template <class T>
struct Axis : WindowRanges {
  const T* weights;
  WindowWeights kind;

  explicit Axis(const WindowAxis& a)
      : WindowRanges(a), weights(pointer<T>(a.weights)), kind(a.kind) {}
  Weights<T> weights_of(int64_t o) const {
    if (kind == WindowWeights::of_window) return {weights + o, 0};
    return {weights + (kind == WindowWeights::of_element ? begin(o) : o * widest), 1};
  }
  bool same(int64_t a, int64_t b) const {
    if (begin(a) != begin(b) || count(a) != count(b)) return false;
    return kind == WindowWeights::of_element || same_weights(a, b, count(a));
  }
  bool same_weights(int64_t a, int64_t b, int64_t taps) const {
    const Weights<T> of_a = weights_of(a), of_b = weights_of(b);
    if (of_a.step == 0) return of_a[0] == of_b[0];
    for (int64_t k = 0; k < taps; ++k)
      if (of_a[k] != of_b[k]) return false;
    return true;
  }
};

constexpr int64_t kFewTaps = 8;

// The outputs of a row that see as many elements as the widest, few, with the same weights and at
// equal distances: all but those at the borders, mostly.
template <class T>
struct Regular {
  int64_t first = 0, last = 0, distance = 0;

  explicit Regular(const Axis<T>& a) {
    if (a.widest > kFewTaps) return;
    while (first < a.out && a.count(first) < a.widest) ++first;
    last = first;
    if (first == a.out) return;
    if (first + 1 < a.out) distance = a.begin(first + 1) - a.begin(first);
    while (last < a.out && fits(a, last)) ++last;
  }
  bool fits(const Axis<T>& a, int64_t o) const {
    return a.count(o) == a.widest && a.begin(o) == a.begin(first) + (o - first) * distance &&
           a.same_weights(o, first, a.widest);
  }
};

template <class T>
T dot(Weights<T> w, const T* x, int64_t n) {
  LongSum<T> sum;
  if (w.step == 0) {
    const Vec<T> all = static_cast<double>(w[0]);
    each_vec<T>(n, [&](int64_t i, auto part) { sum.add(all * load(x + i, part)); });
  } else {
    each_vec<T>(
        n, [&](int64_t i, auto part) { sum.add(load(w.first + i, part) * load(x + i, part)); });
  }
  return static_cast<T>(sum.value());
}

// out[i] = sum over k of w[k] x[i distance + k]; K and D, where they are not 0, are `taps` and
// `distance`, so that the loop becomes vector code.
template <int K, int D, class T>
void regular_row(const T* x, const T* w, int64_t taps, int64_t distance, int64_t n, T* out) {
  const int64_t step = D ? D : distance;
  T known[kFewTaps] = {};
  for (int64_t k = 0; k < taps; ++k) known[k] = w[k];
  for (int64_t i = 0; i < n; ++i) {
    const T* from = x + i * step;
    T sum = known[0] * from[0];
    for (int64_t k = 1; k < (K ? K : taps); ++k) sum += known[k] * from[k];
    out[i] = sum;
  }
}

template <int K, class T>
void regular_row(const T* x, const T* w, int64_t taps, int64_t distance, int64_t n, T* out) {
  if (distance == 1) regular_row<K, 1>(x, w, taps, distance, n, out);
  else if (distance == 2) regular_row<K, 2>(x, w, taps, distance, n, out);
  else regular_row<K, 0>(x, w, taps, distance, n, out);
}

// S: the arrays' type. Rows are computed in T.
template <class S>
struct Resampler {
  using T = accumulate_t<S>;
  const S* x;
  S* out;
  Axis<T> depth, height, width;
  Regular<T> regular;

  // `sum` of width.in and `staged` of width.out elements are this call's own.
  void rows(int64_t begin, int64_t end, T* sum, StagedRow<S> staged) const {
    int64_t h = begin % height.out, d = begin / height.out % depth.out,
            plane = begin / height.out / depth.out;
    auto next = [&] {
      if (++h < height.out) return;
      h = 0;
      if (++d < depth.out) return;
      d = 0;
      ++plane;
    };
    for (int64_t r = begin; r < end; ++r, next()) {
      S* to = out + r * width.out;
      if (r > begin && h > 0 && height.same(h, h - 1)) {  // as where a picture is made larger
        __builtin_memcpy(to, to - width.out, static_cast<size_t>(width.out) * sizeof(S));
        continue;
      }
      T scale = 1;
      const T* source = add_rows(plane, d, h, sum, scale);
      T* target = staged.target(to);
      if (source) within_row(source, scale, target);
      else
        for (int64_t i = 0; i < width.out; ++i) target[i] = 0;
      staged.write(width.out, to);
    }
  }

  // The weighted sum of the rows that row (d, h) sees, up to the factor `scale`; null: it sees
  // none.
  const T* add_rows(int64_t plane, int64_t d, int64_t h, T* sum, T& scale) const {
    const int64_t tall = height.count(h), count = depth.count(d) * tall;
    if (count == 0) return nullptr;
    const S* first =
        x + ((plane * depth.in + depth.begin(d)) * height.in + height.begin(h)) * width.in;
    if (count == 1) {
      scale = depth.weights_of(d)[0] * height.weights_of(h)[0];
      return StagedRow<S>{sum}.read(first, width.in);
    }
    auto row = [&](int64_t n) { return first + (n / tall * height.in + n % tall) * width.in; };
    auto weight = [&](int64_t n) {
      return depth.weights_of(d)[n / tall] * height.weights_of(h)[n % tall];
    };
    add_two(row(0), weight(0), row(1), weight(1), nullptr, sum);
    int64_t n = 2;
    for (; n + 1 < count; n += 2) add_two(row(n), weight(n), row(n + 1), weight(n + 1), sum, sum);
    if (n < count) {
      const S* last = row(n);
      const Vec<T> w = static_cast<double>(weight(n));
      each_vec<T>(width.in, [&](int64_t i, auto part) {
        store(sum + i, fma(w, load(last + i, part), load(sum + i, part)), part);
      });
    }
    return sum;
  }

  void add_two(const S* a, T weight_a, const S* b, T weight_b, const T* before, T* sum) const {
    const Vec<T> wa = static_cast<double>(weight_a), wb = static_cast<double>(weight_b);
    each_vec<T>(width.in, [&](int64_t i, auto part) {
      Vec<T> both = fma(wa, load(a + i, part), wb * load(b + i, part));
      if (before) both += load(before + i, part);
      store(sum + i, both, part);
    });
  }

  void within_row(const T* source, T scale, T* to) const {
    if (width.widest > kFewTaps) {
      for (int64_t o = 0; o < width.out; ++o)
        to[o] = scale * dot(width.weights_of(o), source + width.begin(o), width.count(o));
      return;
    }
    each_output(source, scale, 0, regular.first, to);
    regular_part(source, scale, to);
    each_output(source, scale, regular.last, width.out, to);
  }

  void each_output(const T* source, T scale, int64_t begin, int64_t end, T* to) const {
    using enum WindowWeights;
    if (width.kind == of_window) each_output<of_window>(source, scale, begin, end, to);
    else if (width.kind == of_element) each_output<of_element>(source, scale, begin, end, to);
    else each_output<of_both>(source, scale, begin, end, to);
  }
  template <WindowWeights kind>
  void each_output(const T* source, T scale, int64_t begin, int64_t end, T* to) const {
    if (width.widest == 1) each_output<kind, 1>(source, scale, begin, end, to);
    else if (width.widest == 2) each_output<kind, 2>(source, scale, begin, end, to);
    else each_output<kind, 0>(source, scale, begin, end, to);
  }

  // K, unless 0, is width.widest.
  template <WindowWeights kind, int K>
  void each_output(const T* source, T scale, int64_t begin, int64_t end, T* to) const {
    constexpr int64_t kStep = kind == WindowWeights::of_window ? 0 : 1;
    for (int64_t o = begin; o < end; ++o) {
      const T *from = source + width.begin(o), *w = width.weights;
      if constexpr (kind == WindowWeights::of_window) w += o;
      else if constexpr (kind == WindowWeights::of_element) w += width.begin(o);
      else w += o * width.widest;
      T sum = 0;
      if (K > 0 && width.count(o) == K) {
        for (int64_t k = 0; k < K; ++k) sum += w[k * kStep] * from[k];
      } else {
        for (int64_t k = 0; k < width.count(o); ++k) sum += w[k * kStep] * from[k];
      }
      to[o] = scale * sum;
    }
  }

  void regular_part(const T* source, T scale, T* to) const {
    const int64_t n = regular.last - regular.first, taps = width.widest;
    if (n == 0) return;
    if (taps == 1 && regular.distance == 0) {  // as where a mean passes its gradient back
      const T w = width.weights_of(regular.first)[0];
      const Vec<T> value = static_cast<double>(scale * w * source[width.begin(regular.first)]);
      each_vec<T>(n, [&](int64_t i, auto part) { store(to + regular.first + i, value, part); });
      return;
    }
    T w[kFewTaps];
    for (int64_t k = 0; k < taps; ++k) w[k] = scale * width.weights_of(regular.first)[k];
    source += width.begin(regular.first);
    to += regular.first;
    if (taps == 1) regular_row<1>(source, w, taps, regular.distance, n, to);
    else if (taps == 2) regular_row<2>(source, w, taps, regular.distance, n, to);
    else if (taps == 3) regular_row<3>(source, w, taps, regular.distance, n, to);
    else regular_row<0>(source, w, taps, regular.distance, n, to);
  }
};

template <class S>
void run(const Array& x, const WindowAxis& depth, const WindowAxis& height, const WindowAxis& width,
         const Array& out) {
  using T = accumulate_t<S>;
  const Axis<T> w(width);
  const Resampler<S> f{pointer<S>(x), pointer<S>(out), Axis<T>(depth), Axis<T>(height), w,
                       Regular<T>(w)};
  if (out.numel() == 0) return;
  const int64_t cost = depth.widest * height.widest * width.in + width.out * width.widest;
  parallel_for(out.numel() / width.out, 1 + 16384 / cost, [&](int64_t begin, int64_t end) {
    const int64_t bytes = width.in * static_cast<int64_t>(sizeof(T));
    common::with_scratch(bytes + StagedRow<S>::bytes(width.out), [&](char* scratch) {
      T* sum = reinterpret_cast<T*>(scratch);
      f.rows(begin, end, sum, {StagedRow<S>::staged ? sum + width.in : nullptr});
    });
  });
}

}  // namespace

void resample(const Array& x, const WindowAxis& depth, const WindowAxis& height,
              const WindowAxis& width, const Array& out) {
  dispatch_floating("resample", x.dtype(),
                    [&](auto type) { run<decltype(type)>(x, depth, height, width, out); });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
