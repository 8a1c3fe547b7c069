// Initial values, in place. fan_in and fan_out are those of a weight [out, in, ..kernel]. Random
// numbers come from default_generator() unless another generator is given.
#pragma once

#include <heed/autograd/tensor.h>
#include <heed/core/random.h>

namespace heed::nn::init {

void constant_(const Tensor& t, double value);
void zeros_(const Tensor& t);
void ones_(const Tensor& t);
void uniform_(const Tensor& t, double low, double high, Generator& g = default_generator());
void normal_(const Tensor& t, double mean = 0, double std = 1, Generator& g = default_generator());
// Normal, values outside [mean - cut * std, mean + cut * std] drawn again (by inverse transform).
void trunc_normal_(const Tensor& t, double mean = 0, double std = 1, double cut = 2,
                   Generator& g = default_generator());
// Glorot & Bengio 2010: uniform with bound gain sqrt(6 / (fan_in + fan_out)); normal with
// std gain sqrt(2 / (fan_in + fan_out)).
void xavier_uniform_(const Tensor& t, double gain = 1, Generator& g = default_generator());
void xavier_normal_(const Tensor& t, double gain = 1, Generator& g = default_generator());
// He et al. 2015, by fan_in: uniform with bound gain sqrt(3 / fan_in); normal with std
// gain / sqrt(fan_in). The gain for relu is sqrt(2).
void kaiming_uniform_(const Tensor& t, double gain = 1.4142135623730951,
                      Generator& g = default_generator());
void kaiming_normal_(const Tensor& t, double gain = 1.4142135623730951,
                     Generator& g = default_generator());

struct Fans {
  int64_t in, out;
};
Fans fans(const Shape& shape);  // ShapeError below rank 2

}  // namespace heed::nn::init
