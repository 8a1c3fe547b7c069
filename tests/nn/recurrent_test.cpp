#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/recurrent.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;
using nn::Recurrent;
using nn::RecurrentKind;

TEST_CASE("recurrent: outputs, states and gradients are PyTorch's", "[recurrent]") {
  std::string cell = GENERATE(as<std::string>(), "gru", "lstm");
  int64_t directions = GENERATE(1, 2);
  nn::StateDict file = golden("recurrent_" + cell + "_" + std::to_string(directions));
  Recurrent layer(nn::recurrent_kind_from_name(cell), 4, 6, directions == 2);
  layer.to(DType::f64);
  layer.load_state_dict(below(file, "param."));
  for (const char* name : {"plain", "padded"}) {
    CAPTURE(cell, directions, name);
    nn::StateDict expected = below(file, name + std::string("."));
    Tensor x = file.at("x").detach().clone();
    bool padded = std::string(name) == "padded";
    if (padded) x = with_garbage(x, {0, 0, 0}, {5, 2, 4}, std::nan(""));
    x.set_requires_grad(true);
    auto [out, state] = layer.forward(x, padded ? lengths_of(file.at("lengths")) : Lengths());
    REQUIRE(difference(out, expected.at("out")) < 1e-12);
    REQUIRE(difference(state.h, expected.at("h")) < 1e-12);
    REQUIRE(state.c.defined() == (cell == "lstm"));
    if (state.c.defined()) REQUIRE(difference(state.c, expected.at("c")) < 1e-12);
    std::vector<Tensor> leaves{x};
    for (const Tensor& p : layer.parameters()) leaves.push_back(p);
    std::vector<Tensor> g = grad({out}, leaves, {file.at("cotangent")});
    REQUIRE(difference(g[0], expected.at("grad.x")) < 1e-12);
    size_t i = 1;
    for (const auto& [parameter, tensor] : layer.named_parameters())
      REQUIRE(difference(g[i++], expected.at("grad." + parameter)) < 1e-11);
  }
}

TEST_CASE("recurrent: token by token, and from a state", "[recurrent]") {
  RecurrentKind kind = GENERATE(RecurrentKind::gru, RecurrentKind::lstm);
  Recurrent layer(kind, 3, 4);
  layer.to(DType::f64);
  Tensor x = numbers({2, 6, 3}, 1);
  auto [out, last] = layer.forward(x);
  nn::RecurrentState s = layer.zero_state(2, DType::f64);
  for (int64_t t = 0; t < 6; ++t) {
    s = layer.step(select(x, 1, t), s);
    REQUIRE(difference(s.h, select(out, 1, t)) < 1e-14);
  }
  auto first = layer.forward(x.slice(1, 0, 2));
  auto second = layer.forward(x.slice(1, 2, 6), {}, first.state);
  REQUIRE(difference(second.output, out.slice(1, 2, 6)) < 1e-14);
  REQUIRE(difference(second.state.h, last.h) < 1e-14);
  REQUIRE(layer.forward(x.slice(1, 0, 0)).output.shape() == Shape{2, 0, 4});
  REQUIRE(all_zero(layer.forward(x, {6, 0}).output[1]));
  GradcheckResult second_order = gradgradcheck(
      [&](const std::vector<Tensor>& in) {
        return layer.forward(in[0], {3, 2}).output;
      },
      {numbers({2, 3, 3}, 5).set_requires_grad(true)});
  INFO(second_order.message);
  REQUIRE(second_order);
}

TEST_CASE("recurrent: refusals", "[recurrent]") {
  REQUIRE_THROWS_SAYING(nn::recurrent_kind_from_name("rnn"), ValueError, "there are gru, lstm");
  REQUIRE_THROWS_SAYING(Recurrent(RecurrentKind::gru, 0, 4), ValueError, "sizes must be positive");
  Recurrent both(RecurrentKind::gru, 3, 4, true), lstm(RecurrentKind::lstm, 3, 4);
  Tensor x = zeros({2, 5, 3});
  REQUIRE_THROWS_SAYING(both.step(select(x, 1, 0), {}), ValueError, "two directions");
  REQUIRE_THROWS_SAYING(both.forward(zeros({2, 5, 4})), ShapeError, "x [B, T, 3] expected");
  nn::RecurrentState bare{zeros({2, 4}), Tensor()};
  REQUIRE_THROWS_SAYING(lstm.forward(x, {}, bare), ShapeError, "h and c");
}
