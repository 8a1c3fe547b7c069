// What the tests of nn share: golden files, comparison, numbers.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/core/error.h>
#include <heed/data/safetensors.h>
#include <heed/nn/nn.h>

#include <heed/tests/support/catch.h>

namespace heed::test {

inline nn::StateDict golden(const std::string& name) {
  nn::StateDict out;
  std::string path = str(HEED_SOURCE_DIR, "/tests/golden/", name, ".safetensors");
  data::SafeTensors file = data::read_safetensors(path);
  for (const data::NamedArray& entry : file.tensors) out[entry.name] = Tensor(entry.array);
  return out;
}

// Those whose name starts with `prefix`, without it.
inline nn::StateDict below(const nn::StateDict& all, const std::string& prefix) {
  nn::StateDict out;
  for (const auto& [name, tensor] : all)
    if (name.starts_with(prefix)) out[name.substr(prefix.size())] = tensor;
  return out;
}

// Largest difference, relative to the largest number expected; NaN counts as infinite.
inline double difference(const Tensor& actual, const Tensor& expected) {
  if (!(actual.shape() == expected.shape())) return std::numeric_limits<double>::infinity();
  std::vector<double> a = actual.to_vector(), b = expected.to_vector();
  double worst = 0, scale = 1e-2;
  for (double x : b) scale = std::max(scale, std::fabs(x));
  for (size_t i = 0; i < a.size(); ++i) {
    double d = std::fabs(a[i] - b[i]) / scale;
    if (!(d <= worst)) worst = std::isnan(d) ? std::numeric_limits<double>::infinity() : d;
  }
  return worst;
}

inline Tensor numbers(const Shape& shape, uint64_t seed, DType dtype = DType::f64) {
  return Tensor(random_normal(shape, 0, 1, {seed, 0}, dtype));
}

// i64 [B] of a file.
inline Lengths lengths_of(const Tensor& saved) {
  std::vector<int64_t> values;
  for (double x : saved.to_vector()) values.push_back(static_cast<int64_t>(x));
  return values;
}

inline Tensor integers(const std::vector<int64_t>& values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())});
}

inline bool all_zero(const Tensor& t) {
  for (double x : t.to_vector())
    if (x != 0) return false;
  return true;
}

inline bool all_finite(const Tensor& t) {
  for (double x : t.to_vector())
    if (!std::isfinite(x)) return false;
  return true;
}

// x [B, T, ..] with `value` wherever t is not in [begin[b], end[b]).
inline Tensor with_garbage(const Tensor& x, const std::vector<int64_t>& begin,
                           const std::vector<int64_t>& end, double value) {
  Tensor copy = x.detach().clone();
  for (int64_t b = 0; b < x.dim(0); ++b)
    for (int64_t t = 0; t < x.dim(1); ++t)
      if (t < begin[static_cast<size_t>(b)] || t >= end[static_cast<size_t>(b)])
        copy[b][t].fill_(value);
  return copy;
}

}  // namespace heed::test
