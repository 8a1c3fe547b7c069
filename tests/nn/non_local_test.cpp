// The non-local block: identity at the start, equality with its definition, 1-D, 2-D and 3-D alike,
// sub-sampling, every variant as a drop-in, and what is refused.
#include <heed/nn/non_local.h>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/core/device_memory.h>
#include <heed/core/random.h>
#include <heed/nn/init.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/opcase.h>
#include <heed/tests/support/test_device.h>

using namespace heed;
using namespace heed::test;
using nn::NonLocalBlock;
using nn::NonLocalConfig;

namespace {

void randomise(nn::Module& module) {
  for (const auto& [name, parameter] : module.named_parameters())
    nn::init::normal_(parameter, 0, 0.5);
}

void require_close(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  REQUIRE(close(a.to_vector(), b.to_vector(), 1e-12, 1e-2));
}

// By definition, without sub-sampling: the map of one head, then the block.
Tensor by_definition(const NonLocalBlock& block, const std::string& function, const Tensor& x) {
  const int64_t batch = x.dim(0), channels = x.dim(1), n = x.numel() / (batch * channels);
  Tensor tokens = x.reshape({batch, channels, n}).transpose(1, 2);  // [B, N, C]
  auto apply = [&](const nn::Linear& l, const Tensor& t) { return linear(t, l.weight, l.bias); };
  Tensor q = block.theta ? apply(*block.theta, tokens) : tokens;
  Tensor k = block.phi ? apply(*block.phi, tokens) : tokens;
  Tensor map;  // [B, N, N]
  if (function == "concatenation") {
    Tensor weight = block.attention().named_parameters().front().second;  // [1, 2 D]
    const int64_t d = q.dim(2);
    Tensor a = matmul(q, weight.slice(1, 0, d).transpose(0, 1));      // [B, N, 1]
    Tensor b = matmul(k, weight.slice(1, d, 2 * d).transpose(0, 1));  // [B, N, 1]
    map = relu(a + b.transpose(1, 2)) / static_cast<double>(n);
  } else {
    Tensor scores = matmul(q, k.transpose(1, 2));
    map = function == "dot_product" ? scores / static_cast<double>(n) : softmax(scores, -1);
  }
  Tensor y = apply(block.w, matmul(map, apply(block.g, tokens)));  // [B, N, C]
  y = y.transpose(1, 2).reshape(x.shape());
  return x + (block.norm ? block.norm->forward(y) : y);
}

}  // namespace

TEST_CASE("non-local block: starts as the identity", "[non_local]") {
  manual_seed(1);
  Tensor x = randn({2, 6, 5, 4});
  for (bool norm : {true, false})
    for (const char* name :
         {"gaussian", "embedded_gaussian", "dot_product", "concatenation", "efficient"}) {
      NonLocalBlock block(6, {.attention = name, .batch_norm = norm});
      REQUIRE(block.forward(x).to_vector() == x.to_vector());
    }
}

TEST_CASE("non-local block: equals its definition, forward and backward", "[non_local]") {
  DefaultDType wide(DType::f64);
  manual_seed(2);
  for (std::string name : {"gaussian", "embedded_gaussian", "dot_product", "concatenation"})
    for (const char* form : {"fast", "naive"})
      for (bool norm : {true, false}) {
        INFO(name << " " << form << " " << norm);
        NonLocalBlock block(6, {.attention = name + ":form=" + form, .batch_norm = norm});
        randomise(block);
        Tensor x = randn({2, 6, 3, 5});
        x.set_requires_grad(true);
        std::vector<Tensor> leaves = {x};
        for (const auto& [key, parameter] : block.named_parameters()) leaves.push_back(parameter);
        Tensor got = block.forward(x), want = by_definition(block, name, x);
        require_close(got, want);
        Tensor cotangent = randn(x.shape());
        std::vector<Tensor> a = grad({got}, leaves, {cotangent});
        std::vector<Tensor> b = grad({want}, leaves, {cotangent});
        for (size_t i = 0; i < leaves.size(); ++i) require_close(a[i], b[i]);
      }
}

TEST_CASE("non-local block: one, two and three axes agree", "[non_local]") {
  DefaultDType wide(DType::f64);
  manual_seed(3);
  NonLocalBlock block(4, {.heads = 2});
  randomise(block);
  Tensor x = randn({2, 4, 24});
  Tensor y = block.forward(x);
  for (const Shape& shape : {Shape{2, 4, 4, 6}, Shape{2, 4, 2, 3, 4}}) {
    Tensor z = block.forward(x.reshape(shape));
    REQUIRE(z.shape() == shape);
    require_close(z.reshape(x.shape()), y);
  }
  REQUIRE(block.weights(x, {0, 5}).shape() == Shape{2, 2, 2, 24});
}

TEST_CASE("non-local block: sub-sampling keeps the largest of each window", "[non_local]") {
  DefaultDType wide(DType::f64);
  manual_seed(4);
  for (std::string name :
       {"gaussian", "embedded_gaussian", "dot_product", "concatenation", "efficient"}) {
    INFO(name);
    NonLocalBlock whole(4, {.attention = name}), sampled(4, {.attention = name, .subsample = 2});
    randomise(whole);
    sampled.load_state_dict(whole.state_dict());
    // Windows of equal values: their maximum is each of them.
    Tensor small = randn({2, 4, 3, 2});
    Tensor x = small.reshape({2, 4, 3, 1, 2, 1}) * ones({1, 1, 1, 2, 1, 2});
    x = x.reshape({2, 4, 6, 4});
    require_close(sampled.forward(x), whole.forward(x));
    REQUIRE(sampled.weights(randn({1, 4, 5, 7}), {3}).shape() == Shape{1, 1, 1, 6});
    REQUIRE(sampled.forward(randn({2, 4, 5, 7})).shape() == Shape{2, 4, 5, 7});
    REQUIRE(sampled.forward(randn({2, 4, 1, 3})).shape() == Shape{2, 4, 1, 3});
    REQUIRE(sampled.weights(randn({1, 4, 3, 5, 4}), {3}).shape() == Shape{1, 1, 1, 12});
    REQUIRE(sampled.forward(randn({2, 4, 9})).shape() == Shape{2, 4, 9});
  }
}

TEST_CASE("non-local block: variants of the catalogue are drop-ins", "[non_local]") {
  manual_seed(5);
  Tensor x = randn({2, 8, 4, 4});
  int64_t count = 0;
  for (const nn::AttentionEntry& entry : nn::attention_catalog()) {
    INFO(entry.name);
    NonLocalBlock block(8, {.attention = entry.name, .heads = 2, .max_length = 16});
    randomise(block);
    Tensor in = x.clone();
    in.set_requires_grad(true);
    Tensor y = block.forward(in);
    REQUIRE(y.shape() == x.shape());
    sum(square(y)).backward();
    for (const auto& [name, leaf] : block.named_parameters()) {
      INFO(name);
      if (!leaf.grad().defined()) continue;  // a parameter for decoding or longer inputs alone
      REQUIRE(std::isfinite(sum(leaf.grad()).item()));
    }
    std::vector<Tensor> used = {in, block.g.weight, block.w.weight, block.norm->weight};
    if (entry.name != "mean") {  // which options_test.cpp adds: it reads neither queries nor keys
      if (block.theta) used.push_back(block.theta->weight);
      if (block.phi) used.push_back(block.phi->weight);
    }
    for (const Tensor& leaf : used) {
      const double size = sum(square(leaf.grad())).item();
      REQUIRE((std::isfinite(size) && size > 1e-6));
    }
    ++count;
  }
  REQUIRE(count >= 19);
}

TEST_CASE("non-local block: bf16 is f32, rounded", "[non_local]") {
  manual_seed(6);
  for (const char* name :
       {"gaussian", "embedded_gaussian", "dot_product", "concatenation", "efficient"})
    for (int64_t subsample : {1, 2}) {
      INFO(name << ", subsample " << subsample);
      NonLocalBlock narrow(8, {.attention = name, .heads = 2, .subsample = subsample});
      randomise(narrow);
      narrow.to(DType::bf16);
      NonLocalBlock wide(8, {.attention = name, .heads = 2, .subsample = subsample});
      wide.load_state_dict(narrow.state_dict());
      Tensor x = randn({2, 8, 4, 6}, DType::bf16);
      Tensor y = x.to(DType::f32);
      x.set_requires_grad(true);
      y.set_requires_grad(true);
      Tensor got = narrow.forward(x), want = wide.forward(y);
      REQUIRE(got.dtype() == DType::bf16);
      REQUIRE(narrow.norm->running_mean.dtype() == DType::f32);
      REQUIRE(close(got.to_vector(), want.to_vector(), 2e-2, 1));
      Tensor cotangent = randn(x.shape(), DType::bf16);
      got.backward(cotangent);
      want.backward(cotangent.to(DType::f32));
      REQUIRE(close(x.grad().to_vector(), y.grad().to_vector(), 4e-2, 1));
    }
}

TEST_CASE("non-local block: the same bits on another device, nothing read back", "[non_local]") {
  auto run = [](Device device, const char* name, int64_t subsample) {
    DefaultDevice on(device);
    manual_seed(7);
    NonLocalBlock block(8, {.attention = name, .heads = 2, .subsample = subsample});
    randomise(block);
    Tensor x = randn({2, 8, 4, 6});
    x.set_requires_grad(true);
    const int64_t before = transfer_counts(test_device()).to_host;
    Tensor y = block.forward(x);
    sum(square(y)).backward();
    REQUIRE(transfer_counts(test_device()).to_host == before);
    Tensor map = block.weights(x, {0, 23});
    std::vector<std::vector<double>> all = {y.to_vector(), x.grad().to_vector(), map.to_vector()};
    for (const Tensor& t : block.parameters()) all.push_back(t.grad().to_vector());
    for (const auto& [buffer, t] : block.named_buffers()) all.push_back(t.to_vector());
    return all;
  };
  for (const char* name :
       {"gaussian", "embedded_gaussian", "dot_product", "concatenation", "efficient"})
    for (int64_t subsample : {1, 2}) {
      INFO(name << ", subsample " << subsample);
      REQUIRE(run(test_device(), name, subsample) == run(kCpu, name, subsample));
    }
}

TEST_CASE("non-local block: what is refused, and why", "[non_local]") {
  REQUIRE_THROWS_SAYING(NonLocalBlock(0), ValueError, "channels must be positive");
  REQUIRE_THROWS_SAYING(NonLocalBlock(6, {.heads = 2}), ValueError,
                        "2 heads do not divide the 3 inner channels");
  REQUIRE_THROWS_SAYING(
      NonLocalBlock(6, {.attention = "gaussian", .heads = 4, .inner_channels = 4}), ValueError,
      "4 heads do not divide the 6 channels");
  REQUIRE_THROWS_SAYING(NonLocalBlock(6, {.axes = 4}), ValueError, "one to three axes");
  REQUIRE_THROWS_SAYING(NonLocalBlock(6, {.subsample = 0}), ValueError, "subsample");
  REQUIRE_THROWS_SAYING(NonLocalBlock(6, {.attention = "nonlocal"}), ValueError, "nonlocal");
  REQUIRE_THROWS_SAYING(NonLocalBlock(6, {.attention = "lsh", .subsample = 2}), ValueError,
                        "sub-sampling");
  NonLocalBlock block(6);
  REQUIRE_THROWS_SAYING(block.forward(zeros({2, 5, 4, 4})), ShapeError, "[B, 6, ...]");
  REQUIRE_THROWS_SAYING(block.forward(zeros({2, 6})), ShapeError, "spatial axes");
  REQUIRE_THROWS_SAYING(block.forward(zeros({1, 6, 1, 1})), ValueError, "value");
}
