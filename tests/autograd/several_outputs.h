// Ops with several outputs for tests, and what the tests of them share.
#pragma once

#include <array>
#include <initializer_list>
#include <vector>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>

namespace heed::outputs_test {

inline int vjp_runs = 0;

// A primitive: x w, x^2 [1, ..], and whether x > w, as integers.
struct Pair {
  static constexpr const char* name = "pair";
  static constexpr unsigned saves = 0b11;
  std::array<Array, 3> forward(Inputs in) {
    NoGrad guard;
    Tensor x(in[0]), w(in[1]);
    return {(x * w).array(), square(x).unsqueeze(0).array(),
            cast(greater(x, w), DType::i64).array()};
  }
  void vjp(Vjp& v) {
    ++vjp_runs;
    Tensor x = v.input(0), w = v.input(1), product = v.cotangent(0), square = v.cotangent(1);
    REQUIRE(v.outputs() == 3);
    REQUIRE((product.defined() || square.defined()));
    REQUIRE_FALSE(v.cotangent(2).defined());
    if (product.defined()) {
      v.add(0, product * w);
      v.add(1, product * x);
    }
    if (square.defined()) v.add(0, square.squeeze(0) * x * 2.0);
  }
};

// A fused op: exp(x) and exp(x) w. `kWrong`: a mutant that confuses the cotangents.
template <bool kWrong>
struct FusedPair {
  static constexpr const char* name = "fused_pair";
  static constexpr unsigned saves = 0b11 | output_bit(0) | output_bit(1);
  std::array<Array, 2> forward(Inputs in) {
    NoGrad guard;
    Tensor e = exp(Tensor(in[0]));
    return {e.array(), (e * Tensor(in[1])).array()};
  }
  void vjp(Vjp& v) {
    if (v.create_graph())
      return by_reference(v, [](const std::vector<Tensor>& in) {
        return std::array{exp(in[0]), exp(in[0]) * in[1]};
      });
    Tensor first = v.cotangent_or_zeros(kWrong), second = v.cotangent_or_zeros(!kWrong);
    v.add(0, first * v.output(0) + second * v.output(1));
    v.add(1, second * v.output(0));
  }
};

inline std::array<Tensor, 3> pair_of(const Tensor& x, const Tensor& w) {
  return apply(Pair{}, x, w);
}
inline std::array<Tensor, 2> fused_of(const Tensor& x, const Tensor& w) {
  return apply(FusedPair<false>{}, x, w);
}

inline Tensor leaf(std::initializer_list<float> values) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())}).set_requires_grad(true);
}
inline std::vector<double> list(std::initializer_list<double> values) { return values; }

inline std::vector<Tensor> point() {
  return {Tensor(random_normal({2, 3}, 0, 1, {4, 0}, DType::f64)).set_requires_grad(true),
          Tensor(random_normal({2, 3}, 0, 1, {5, 0}, DType::f64)).set_requires_grad(true)};
}

}  // namespace heed::outputs_test
