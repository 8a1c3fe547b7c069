#include <heed/autograd/backward.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/opcase.h>

namespace heed {
namespace {

bool equal(const Tensor& a, const Tensor& b) {
  return a.shape() == b.shape() && test::close(a.to_vector(), b.to_vector(), 1e-13, 1);
}

// A map [B, C, N] is projected as tokens [B, N, C]: what comes back for the map lies as the map
// does, so that nothing strided is left to do, whether the other operand is shared or not.
TEST_CASE("matmul: the gradient of a transposed operand lies as that operand does", "[matmul]") {
  manual_seed(1);
  for (const Shape& weight_shape : {Shape{64, 64}, Shape{2, 64, 64}})
    for (bool left : {true, false}) {
      Tensor map = randn({2, 64, 80}, DType::f64), weight = randn(weight_shape, DType::f64);
      Tensor tokens = map.transpose(1, 2).detach(), other = weight.detach();
      Tensor plain = map.transpose(1, 2).contiguous().detach();
      for (Tensor* x : {&tokens, &plain, &other}) x->set_requires_grad(true);
      auto apply = [&](const Tensor& x) {
        return left ? matmul(x, other) : matmul(other, x.transpose(1, 2)).transpose(1, 2);
      };
      Tensor cotangent = randn(apply(plain).shape(), DType::f64);
      std::vector<Tensor> got = grad({apply(tokens)}, {tokens, other}, {cotangent});
      std::vector<Tensor> expected = grad({apply(plain)}, {plain, other}, {cotangent});
      CHECK(equal(got[0], expected[0]));
      CHECK(equal(got[1], expected[1]));
      if (left) CHECK(got[0].array().transpose(1, 2).is_contiguous());
      else CHECK(expected[0].array().is_contiguous());
    }
}

TEST_CASE("matmul: small matrices that share an operand are one product", "[matmul]") {
  Tensor tokens = randn({2, 3, 8}).transpose(1, 2).detach(), weight = randn({3, 5});
  tokens.set_requires_grad(true);
  Tensor y = matmul(tokens, weight);
  CHECK(grad({y}, {tokens}, {randn(y.shape())})[0].array().is_contiguous());
}

}  // namespace
}  // namespace heed
