#include <heed/backends/optimizer.h>

#include <heed/backends/cpu/bf16.h>
#include <heed/backends/cpu/pointer.h>
#include <heed/core/parallel.h>

// Plain loops: they are bound by memory, and the compiler vectorises them.
namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

constexpr int64_t kGrain = 16384;

float square_root(float x) { return __builtin_sqrtf(x); }
double square_root(double x) { return __builtin_sqrt(x); }

struct StepValues {
  double rate, number, scale;
  bool failed;  // this step or an earlier one: nothing may change any more
  explicit StepValues(const Array& state)
      : rate(pointer<double>(state)[0]),
        number(pointer<double>(state)[1]),
        scale(pointer<double>(state)[2]),
        failed(pointer<double>(state)[3] != 0) {}
};

// A parameter in the precision that it is updated in. A bf16 parameter has a master in f32, which
// is used if it rounds to the parameter. If not, the parameter has been set since, and its value is
// used.
template <class S>
struct Parameter {
  using T = accumulate_t<S>;
  S* stored;
  T* master;
  T read(int64_t i) const {
    if constexpr (__is_same(S, T)) return stored[i];
    else return narrowed<S>(master[i]).bits == stored[i].bits ? master[i] : widened(stored[i]);
  }
  void write(int64_t i, T value) const {
    if constexpr (!__is_same(S, T)) master[i] = value;
    stored[i] = narrowed<S>(value);
  }
};

template <class S>
void adam(const Array& parameter, const Array& master, const Array& gradient, const Array& m_state,
          const Array& v_state, const Array& step_state, AdamRule rule) {
  using T = accumulate_t<S>;
  const StepValues step(step_state);
  if (step.failed) return;
  const double rate = step.rate * rule.lr_factor;
  const T b1 = static_cast<T>(rule.beta1), b2 = static_cast<T>(rule.beta2);
  const T one_b1 = static_cast<T>(1 - rule.beta1), one_b2 = static_cast<T>(1 - rule.beta2);
  const T step_size = static_cast<T>(rate / (1 - __builtin_pow(rule.beta1, step.number)));
  const T root = static_cast<T>(1 / __builtin_sqrt(1 - __builtin_pow(rule.beta2, step.number)));
  const T eps = static_cast<T>(rule.eps), scale = static_cast<T>(step.scale);
  const T keep = static_cast<T>(rule.decoupled ? 1 - rate * rule.weight_decay : 1);
  const T l2 = static_cast<T>(rule.decoupled ? 0 : rule.weight_decay);
  const Parameter<S> all{pointer<S>(parameter), pointer<T>(master)};
  T *m = pointer<T>(m_state), *v = pointer<T>(v_state);
  const S* gradients = pointer<S>(gradient);
  parallel_for(parameter.numel(), kGrain, [&](int64_t begin, int64_t end) {
    const Parameter<S> p = all;
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) {
      const T pi = p.read(i);
      T g = widened(gradients[i]) * scale + l2 * pi;
      T mi = b1 * m[i] + one_b1 * g;
      T vi = b2 * v[i] + one_b2 * g * g;
      m[i] = mi;
      v[i] = vi;
      p.write(i, pi * keep - step_size * mi / (square_root(vi) * root + eps));
    }
  });
}

// g <- g + decay p;  buffer <- momentum buffer + (1 - dampening) g;  p <- p - lr (buffer or g)
template <class S>
void sgd(const Array& parameter, const Array& master, const Array& gradient, const Array& buffer,
         const Array& step_state, SgdRule rule) {
  using T = accumulate_t<S>;
  const StepValues step(step_state);
  if (step.failed) return;
  const T rate = static_cast<T>(step.rate * rule.lr_factor), scale = static_cast<T>(step.scale);
  const T decay = static_cast<T>(rule.weight_decay);
  const T past = static_cast<T>(rule.first ? 0 : rule.momentum);
  const T fresh = static_cast<T>(rule.first ? 1 : 1 - rule.dampening);
  const T ahead = static_cast<T>(rule.momentum);
  const Parameter<S> all{pointer<S>(parameter), pointer<T>(master)};
  T* b = pointer<T>(buffer);
  const S* gradients = pointer<S>(gradient);
  parallel_for(parameter.numel(), kGrain, [&](int64_t begin, int64_t end) {
    const Parameter<S> p = all;
    if (!b) {
#pragma GCC ivdep
      for (int64_t i = begin; i < end; ++i) {
        const T pi = p.read(i);
        p.write(i, pi - rate * (widened(gradients[i]) * scale + decay * pi));
      }
      return;
    }
#pragma GCC ivdep
    for (int64_t i = begin; i < end; ++i) {
      const T pi = p.read(i);
      T g = widened(gradients[i]) * scale + decay * pi;
      T bi = rule.first ? g : past * b[i] + fresh * g;  // in the first step b is uninitialised
      b[i] = bi;
      p.write(i, pi - rate * (rule.nesterov ? g + ahead * bi : bi));
    }
  });
}

template <class T>
double squares(const T* x, int64_t n) {
  constexpr int kLanes = 16;
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes)
    for (int k = 0; k < kLanes; ++k)
      lanes[k] += static_cast<double>(widened(x[i + k])) * static_cast<double>(widened(x[i + k]));
  for (; i < n; ++i)
    lanes[0] += static_cast<double>(widened(x[i])) * static_cast<double>(widened(x[i]));
  double total = 0;
  for (double lane : lanes) total += lane;
  return total;
}

}  // namespace

void adam_step(const Array& parameter, const Array& master, const Array& gradient, const Array& m,
               const Array& v, const Array& step_state, AdamRule rule) {
  dispatch_floating("adam_step", parameter.dtype(), [&](auto type) {
    adam<decltype(type)>(parameter, master, gradient, m, v, step_state, rule);
  });
}

void sgd_step(const Array& parameter, const Array& master, const Array& gradient,
              const Array& buffer, const Array& step_state, SgdRule rule) {
  dispatch_floating("sgd_step", parameter.dtype(), [&](auto type) {
    sgd<decltype(type)>(parameter, master, gradient, buffer, step_state, rule);
  });
}

// Blocks of fixed size, summed in order: the same bits for any number of threads.
void global_norm(std::span<const Array> arrays, const Array& out) {
  const auto count = static_cast<int64_t>(arrays.size());
  constexpr int64_t kBlock = 32768, kAtOnce = 256;
  double total = 0;
  for (int64_t a = 0; a < count; ++a) {
    const int64_t n = arrays[a].numel(), blocks = (n + kBlock - 1) / kBlock;
    dispatch_floating("global_norm", arrays[a].dtype(), [&](auto type) {
      const auto* values = pointer<decltype(type)>(arrays[a]);
      for (int64_t first = 0; first < blocks; first += kAtOnce) {
        double sums[kAtOnce];
        const int64_t some = blocks - first < kAtOnce ? blocks - first : kAtOnce;
        parallel_for(some, 1, [&](int64_t begin, int64_t end) {
          for (int64_t b = begin; b < end; ++b) {
            const int64_t from = (first + b) * kBlock, size = n - from < kBlock ? n - from : kBlock;
            sums[b] = squares(values + from, size);
          }
        });
        for (int64_t b = 0; b < some; ++b) total += sums[b];
      }
    });
  }
  *pointer<double>(out) = __builtin_sqrt(total);
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
