// Views share memory, their gradients find the way back; the edges of each op.
#include <heed/autograd/backward.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

TEST_CASE("views copy nothing", "[views]") {
  Tensor x = arange(24, DType::f32).reshape({2, 3, 4});
  auto shared = [&](const Tensor& y) { return y.array().shares_storage(x.array()); };
  CHECK(shared(x.reshape({6, 4})));
  CHECK(shared(x.permute({2, 0, 1})));
  CHECK(shared(x.transpose(0, 2)));
  CHECK(shared(x.slice(2, 1, 3)));
  CHECK(shared(x[1]));
  CHECK(shared(x.unsqueeze(1)));
  CHECK(shared(x.slice(0, 0, 1).squeeze(0)));
  CHECK(shared(broadcast_to(x, {5, 2, 3, 4})));
  CHECK(shared(split(x, 1, int64_t{2})[1]));
  CHECK(shared(x.slice(2, 0, 4, 2).reshape({6, 2})));    // rows of a slice stay views
  CHECK_FALSE(shared(x.transpose(1, 2).reshape({24})));  // no strides for that
  CHECK_FALSE(shared(x.clone()));
  CHECK_FALSE(shared(flip(x, 0)));
}

TEST_CASE("what changes nothing returns the tensor itself", "[views]") {
  Tensor x = ones({2, 3});
  CHECK(reshape(x, {2, -1}).to_vector() == x.to_vector());
  CHECK(reshape(x, {2, 3}).impl() == x.impl());
  CHECK(broadcast_to(x, {2, 3}).impl() == x.impl());
  CHECK(contiguous(x).impl() == x.impl());
  CHECK(cast(x, DType::f32).impl() == x.impl());
  CHECK(pad(x, 0, 0, 0).impl() == x.impl());
}

TEST_CASE("slices clamp their bounds as Python does", "[views]") {
  Tensor x = arange(5);
  CHECK(slice(x, 0, -100, 2).to_vector() == std::vector<double>{0, 1});
  CHECK(slice(x, 0, 3, 100).to_vector() == std::vector<double>{3, 4});
  CHECK(slice(x, 0, 4, 1).numel() == 0);
  CHECK(slice(x, 0, 0, 5, 3).to_vector() == std::vector<double>{0, 3});
  CHECK(slice(x, 0, 0, 5, 100).to_vector() == std::vector<double>{0});
}

TEST_CASE("split and concat are inverse", "[views]") {
  Tensor x = arange(10).reshape({2, 5});
  auto parts = split(x, 1, int64_t{2});
  REQUIRE(parts.size() == 3);
  CHECK(parts[2].shape() == Shape{2, 1});
  CHECK(concat(parts, 1).to_vector() == x.to_vector());
  CHECK(split(zeros({0, 3}), 0, int64_t{2}).empty());
  CHECK(concat({zeros({0, 3}), ones({1, 3})}, 0).shape() == Shape{1, 3});
}

TEST_CASE("parts of one tensor share its gradient", "[views]") {
  Tensor x = ones({4}).set_requires_grad(true);
  auto parts = split(x, 0, int64_t{2});
  Tensor overlapping = x.slice(0, 1, 3);
  sum(parts[0] * 2.0 + parts[1] * 3.0 + overlapping * 10.0).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{2, 12, 13, 3});
}

TEST_CASE("a broadcast gradient is owned once it is accumulated", "[views]") {
  Tensor x = ones({3}).set_requires_grad(true);
  sum(x).backward();  // the gradient may be one number behind stride 0
  sum(x).backward();
  CHECK(x.grad().to_vector() == std::vector<double>{2, 2, 2});
}

TEST_CASE("a gradient that was handed out does not change later", "[views]") {
  Tensor x = ones({3}).set_requires_grad(true);
  sum(x[0]).backward();
  Tensor first = x.grad();
  sum(x[1]).backward();
  CHECK(first.to_vector() == std::vector<double>{1, 0, 0});
  CHECK(x.grad().to_vector() == std::vector<double>{1, 1, 0});
}
