#include <heed/nn/init.h>

#include <cmath>

#include <heed/autograd/grad_mode.h>
#include <heed/core/error.h>

namespace heed::nn::init {

namespace {

void set(const Tensor& t, Array values) {
  NoGrad guard;
  t.copy_(Tensor(std::move(values)));
}

DType drawn(const Tensor& t) { return accumulate_dtype(t.dtype()); }

// The quantile of the standard normal distribution, by Newton's method on erfc, which keeps its
// relative precision far into the tail.
double normal_quantile(double p) {
  if (p > 0.5) return -normal_quantile(1 - p);
  double x = p > 1e-3 ? (p - 0.5) * 2.5 : -std::sqrt(-2 * std::log(p));
  for (int i = 0; i < 60; ++i) {
    double error = 0.5 * std::erfc(-x * M_SQRT1_2) - p;
    double density = std::exp(-0.5 * x * x) * 0.3989422804014327;
    double step = error / density;
    x -= std::fmax(-1.0, std::fmin(1.0, step));
    if (std::fabs(step) < 1e-14) break;
  }
  return x;
}

}  // namespace

Fans fans(const Shape& shape) {
  if (shape.rank() < 2)
    throw ShapeError(str("init: fans need a weight of rank 2 or more, got ", shape));
  int64_t window = 1;
  for (int i = 2; i < shape.rank(); ++i) window *= shape[i];
  return {shape[1] * window, shape[0] * window};
}

void constant_(const Tensor& t, double value) {
  NoGrad guard;
  t.fill_(value);
}
void zeros_(const Tensor& t) { constant_(t, 0); }
void ones_(const Tensor& t) { constant_(t, 1); }

void uniform_(const Tensor& t, double low, double high, Generator& g) {
  set(t, random_uniform(t.shape(), low, high, g.take(t.numel()), drawn(t)));
}

void normal_(const Tensor& t, double mean, double std, Generator& g) {
  set(t, random_normal(t.shape(), mean, std, g.take(t.numel()), drawn(t)));
}

void trunc_normal_(const Tensor& t, double mean, double std, double cut, Generator& g) {
  if (!(cut > 0)) throw ValueError(str("trunc_normal_: cut must be positive, got ", cut));
  double below = 0.5 * std::erfc(cut * M_SQRT1_2);  // Phi(-cut)
  Array values = random_uniform(t.shape(), 0, 1, g.take(t.numel()), DType::f64);
  double* p = values.data<double>();
  for (int64_t i = 0; i < t.numel(); ++i) {
    double x = normal_quantile(below + p[i] * (1 - 2 * below));
    p[i] = mean + std * std::fmax(-cut, std::fmin(cut, x));
  }
  set(t, values);
}

void xavier_uniform_(const Tensor& t, double gain, Generator& g) {
  Fans f = fans(t.shape());
  double bound = gain * std::sqrt(6.0 / static_cast<double>(f.in + f.out));
  uniform_(t, -bound, bound, g);
}

void xavier_normal_(const Tensor& t, double gain, Generator& g) {
  Fans f = fans(t.shape());
  normal_(t, 0, gain * std::sqrt(2.0 / static_cast<double>(f.in + f.out)), g);
}

void kaiming_uniform_(const Tensor& t, double gain, Generator& g) {
  double bound = gain * std::sqrt(3.0 / static_cast<double>(fans(t.shape()).in));
  uniform_(t, -bound, bound, g);
}

void kaiming_normal_(const Tensor& t, double gain, Generator& g) {
  normal_(t, 0, gain / std::sqrt(static_cast<double>(fans(t.shape()).in)), g);
}

}  // namespace heed::nn::init
