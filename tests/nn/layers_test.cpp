#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/norm.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;

TEST_CASE("linear: x W^T + b over any leading axes, PyTorch's bounds") {
  nn::Linear l(4, 6);
  Tensor x = numbers({2, 3, 4}, 1, DType::f32);
  Tensor expected = matmul(x, l.weight.transpose(0, 1)) + l.bias;
  REQUIRE(difference(l.forward(x), expected) < 1e-6);
  for (double w : l.weight.to_vector()) REQUIRE(std::fabs(w) <= 0.5);
  for (double w : l.bias.to_vector()) REQUIRE(std::fabs(w) <= 0.5);
  REQUIRE_FALSE(nn::Linear(4, 6, false).bias.defined());
  REQUIRE(nn::Linear(4, 6, false).state_dict().size() == 1);
}

TEST_CASE("linear: bad input") {
  REQUIRE_THROWS_SAYING(nn::Linear(0, 3), ValueError, "in = 0, out = 3");
  REQUIRE_THROWS_AS(nn::Linear(4, 6).forward(zeros({2, 5})), ShapeError);
}

TEST_CASE("embedding: rows by id; the padding row is zero and gets no gradient") {
  nn::Embedding e(5, 3, 2);
  Tensor ids = Tensor::from(std::vector<int64_t>{1, 2, 2, 4}, {2, 2});
  Tensor y = e.forward(ids);
  REQUIRE(y.shape() == Shape{2, 2, 3});
  REQUIRE(all_zero(y[0][1]));
  sum(y).backward();
  std::vector<double> expected{0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1};
  REQUIRE(e.weight.grad().to_vector() == expected);
  REQUIRE_THROWS_SAYING(nn::Embedding(5, 3, 5), ValueError, "padding_index 5");
  REQUIRE_THROWS_AS(e.forward(integers({5})), ValueError);
}

TEST_CASE("norms start as plain normalization") {
  Tensor x = numbers({2, 6}, 3, DType::f32), r = numbers({2, 6}, 4, DType::f32);
  nn::LayerNorm norm(6);
  REQUIRE(difference(norm.forward(x), layer_norm(x, Tensor(), Tensor())) < 1e-6);
  REQUIRE(difference(norm.forward_add(x, r), norm.forward(x + r)) < 1e-6);
  REQUIRE(difference(nn::RMSNorm(6).forward(x), rms_norm(x, Tensor())) < 1e-6);
  REQUIRE(nn::LayerNorm(6, 1e-5, false).state_dict().size() == 1);
  REQUIRE_THROWS_SAYING(nn::LayerNorm(0), ValueError, "LayerNorm");
}

TEST_CASE("dropout: off in eval, on in training, seeded") {
  nn::Dropout d(0.5);
  Tensor x = ones({1000}), r = ones({1000});
  d.eval();
  REQUIRE(d.forward(x).impl() == x.impl());
  REQUIRE(difference(d.forward_add(x, r), full({1000}, 2)) == 0);
  d.train();
  manual_seed(7);
  Tensor first = d.forward(x);
  double total = sum(first).item();
  REQUIRE(total > 800);
  REQUIRE(total < 1200);
  manual_seed(7);
  REQUIRE(d.forward(x).to_vector() == first.to_vector());
  manual_seed(7);
  REQUIRE(difference(d.forward_add(x, r), first + r) == 0);
  REQUIRE_THROWS_SAYING(nn::Dropout(1.5), ValueError, "1.5");
}

TEST_CASE("activations by name") {
  Tensor x = numbers({10}, 5);
  REQUIRE(difference(nn::activation("gelu")(x), gelu(x)) == 0);
  REQUIRE(difference(nn::activation("identity")(x), x) == 0);
  for (const std::string& name : nn::activation_names())
    REQUIRE(nn::activation(name)(x).numel() == 10);
  REQUIRE_THROWS_SAYING(nn::activation("gleu"), ValueError, "relu, gelu, gelu_tanh");
}

TEST_CASE("feed-forward: linear2(activation(linear1)), with dropout between in training only") {
  nn::FeedForward f(4, 8, "relu", 0.5);
  Tensor x = numbers({2, 4}, 6, DType::f32);
  f.eval();
  Tensor plain = f.linear2.forward(relu(f.linear1.forward(x)));
  REQUIRE(difference(f.forward(x), plain) < 1e-6);
  f.train();
  REQUIRE(difference(f.forward(x), plain) > 1e-3);
  nn::FeedForward g(4, 8, "gelu", 0.5);
  g.train();
  REQUIRE(g.forward(x).shape() == x.shape());
  REQUIRE_THROWS_AS(nn::FeedForward(4, 8, "none"), ValueError);
  REQUIRE_THROWS_SAYING(nn::FeedForward(4, 8, "relu", -1), ValueError, "dropout must be in");
}

TEST_CASE("init: moments and bounds") {
  Tensor t = zeros({200, 100});
  auto moments = [&] {
    double mean_value = mean(t).item(), total = 0;
    for (double x : t.to_vector()) total += (x - mean_value) * (x - mean_value);
    return std::pair{mean_value, std::sqrt(total / static_cast<double>(t.numel()))};
  };
  auto check = [&](double expected_mean, double expected_std) {
    auto [m, s] = moments();
    REQUIRE_THAT(m, WithinAbs(expected_mean, 0.03 * (expected_std + std::fabs(expected_mean))));
    REQUIRE_THAT(s, WithinRel(expected_std, 0.03));
  };
  nn::init::normal_(t, 1, 0.5);
  check(1, 0.5);
  nn::init::uniform_(t, -1, 1);
  check(0, std::sqrt(1.0 / 3));
  nn::init::xavier_uniform_(t);
  check(0, std::sqrt(2.0 / 300));
  nn::init::xavier_normal_(t, 2);
  check(0, 2 * std::sqrt(2.0 / 300));
  nn::init::kaiming_uniform_(t);
  check(0, std::sqrt(2.0 / 100));
  nn::init::kaiming_normal_(t, 1);
  check(0, 0.1);
  nn::init::trunc_normal_(t, 0, 1, 2);
  check(0, 0.8796);  // sqrt(1 - 2 c phi(c) / (1 - 2 Phi(-c))) at c = 2
  for (double x : t.to_vector()) REQUIRE(std::fabs(x) <= 2);
  nn::init::constant_(t, 3);
  REQUIRE(difference(t, full({200, 100}, 3)) == 0);
}

TEST_CASE("init: in place on parameters, seeded, fans of convolutions") {
  nn::Linear l(3, 5);
  Generator g(1), h(1);
  nn::init::normal_(l.weight, 0, 1, g);
  Tensor t = zeros({5, 3});
  nn::init::normal_(t, 0, 1, h);
  REQUIRE(l.weight.to_vector() == t.to_vector());
  REQUIRE(l.weight.requires_grad());
  REQUIRE(nn::init::fans({8, 4, 3, 3}).in == 36);
  REQUIRE(nn::init::fans({8, 4, 3, 3}).out == 72);
  REQUIRE_THROWS_SAYING(nn::init::xavier_uniform_(zeros({4})), ShapeError, "rank 2");
  REQUIRE_THROWS_SAYING(nn::init::trunc_normal_(t, 0, 1, 0), ValueError, "cut");
}

TEST_CASE("losses with bound settings") {
  Tensor logits = numbers({3, 4}, 8), target = integers({1, 0, 3});
  nn::CrossEntropyLoss loss{{.label_smoothing = 0.1, .ignore_index = 0}};
  REQUIRE(loss(logits, target).item() ==
          cross_entropy(logits, target, {.label_smoothing = 0.1, .ignore_index = 0}).item());
  Tensor x = numbers({3, 2}, 9), w = numbers({4, 2}, 10);
  REQUIRE_THAT(loss(x, w, Tensor(), target).item(),
               WithinRel(loss(linear(x, w), target).item(), 1e-12));
  REQUIRE(nn::MSELoss{}(x, x).item() == 0);
  REQUIRE(nn::BCEWithLogitsLoss{}(zeros({2}), ones({2})).item() > 0.69);
}
