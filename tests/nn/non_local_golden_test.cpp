// The non-local block against the module that is usual in PyTorch: numbers, names and shapes.
#include <heed/nn/non_local.h>

#include <heed/autograd/ops/views.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;

namespace {

void check(const std::string& attention, const std::string& name, nn::NonLocalConfig config) {
  INFO(attention << " " << name);
  nn::StateDict file = below(golden("non_local_" + attention), name + ".");
  nn::StateDict theirs = below(file, "param.");
  config.attention = attention;
  nn::NonLocalBlock block(6, config);
  block.to(DType::f64);
  block.load_state_dict(nn::from_pytorch(theirs, block));
  block.train(name != "clip");

  nn::StateDict out = nn::to_pytorch(block);
  REQUIRE(out.size() == theirs.size());
  for (const auto& [parameter, t] : theirs) {
    INFO(parameter);
    REQUIRE(out.count(parameter) == 1);
    REQUIRE(difference(out.at(parameter), t) == 0);  // the shape, too
  }

  Tensor x = file.at("x").clone().set_requires_grad(true);
  Tensor y = block.forward(x);
  REQUIRE(difference(y, file.at("out")) < 1e-12);
  y.backward(file.at("cotangent"));
  REQUIRE(difference(x.grad(), file.at("grad.x")) < 1e-12);
  nn::StateDict gradients = nn::from_pytorch(below(file, "grad.param."), block);
  REQUIRE(gradients.size() == block.parameters().size());
  // Those that are 0 but for rounding have no scale of their own: all together.
  std::vector<Tensor> got, want;
  for (const auto& [parameter, t] : block.named_parameters()) {
    INFO(parameter);
    REQUIRE(t.grad().shape() == gradients.at(parameter).shape());
    got.push_back(t.grad().reshape({-1}));
    want.push_back(gradients.at(parameter).reshape({-1}));
  }
  REQUIRE(difference(concat(got, 0), concat(want, 0)) < 1e-12);
}

}  // namespace

TEST_CASE("non-local block: PyTorch's numbers and names", "[non_local]") {
  const std::string attention =
      GENERATE("gaussian", "embedded_gaussian", "dot_product", "concatenation");
  check(attention, "plain", {});
  check(attention, "sampled", {.subsample = 2});
  check(attention, "line", {.batch_norm = false, .axes = 1});
  check(attention, "clip", {.subsample = 2, .axes = 3});
}

TEST_CASE("non-local block: a weight of another shape is refused", "[non_local]") {
  nn::StateDict theirs = below(golden("non_local_embedded_gaussian"), "plain.param.");
  nn::NonLocalBlock block(6);
  theirs["theta.weight"] = zeros({3, 6, 3, 3}, DType::f64);
  REQUIRE_THROWS_SAYING(block.load_state_dict(nn::from_pytorch(theirs, block)), ValueError,
                        "theta.weight: [3, 6] expected, got [3, 6, 3, 3]");
}
