// Batch norm and group norm as layers: PyTorch's numbers, and the life of running statistics.
#include <heed/autograd/backward.h>
#include <heed/autograd/recompute.h>
#include <heed/core/device_memory.h>
#include <heed/nn/batch_norm.h>
#include <heed/tests/nn/golden.h>
#include <heed/tests/support/test_device.h>

using namespace heed;
using namespace heed::test;

namespace {

const char* const kStatistics[] = {"running_mean", "running_var", "num_batches_tracked"};

void match(const char* what, const Tensor& got, const Tensor& want) {
  INFO(what << ": " << got << " expected " << want);
  REQUIRE(difference(got, want) < 1e-12);
}

nn::StateDict state_for(const nn::Module& module, const nn::StateDict& all,
                        const nn::StateDict& own) {
  nn::StateDict state;
  for (const auto& [name, t] : module.state_dict())
    state[name] = own.count("before." + name) ? own.at("before." + name) : all.at("param." + name);
  return state;
}

// forward and backward of one case, then the second batch, then the statistics.
template <class Layer, class Forward>
void check(const nn::StateDict& all, const std::string& name, Layer& layer, Forward forward) {
  INFO(name);
  nn::StateDict own = below(all, name + ".");
  layer.to(DType::f64);
  layer.load_state_dict(state_for(layer, all, own));
  layer.zero_grad();
  Tensor x = own.at("x").clone().set_requires_grad(true), residual;
  if (own.count("residual")) residual = own.at("residual").clone().set_requires_grad(true);
  Tensor y = forward(layer, x, residual);
  match("out", y, own.at("out"));
  y.backward(own.at("cotangent"));
  match("dx", x.grad(), own.at("grad.x"));
  if (residual.defined()) match("dresidual", residual.grad(), own.at("grad.residual"));
  for (const auto& [parameter, t] : layer.named_parameters())
    match(parameter.c_str(), t.grad(), own.at("grad.param." + parameter));
  if (own.count("second")) layer.forward(own.at("second"));
  int64_t statistics = 0;
  for (const auto& [buffer, t] : layer.named_buffers()) {
    match(buffer.c_str(), t, own.at("after." + buffer));
    ++statistics;
  }
  REQUIRE(statistics == (own.count("after.running_mean") ? 3 : 0));
}

template <class Layer>
Tensor plain(const Layer& layer, const Tensor& x, const Tensor&) {
  return layer.forward(x);
}

Tensor images(uint64_t seed = 1) { return numbers({4, 3, 5, 5}, seed, DType::f32); }

}  // namespace

TEST_CASE("batch norm equals PyTorch: outputs, gradients, running statistics") {
  nn::StateDict all = golden("batch_norm");
  auto both = [&](const char* label, auto layer) {
    for (bool training : {true, false}) {
      layer->train(training);
      check(all, std::string(label) + (training ? "_training" : "_eval"), *layer,
            plain<nn::BatchNorm>);
    }
  };
  both("1d", std::make_unique<nn::BatchNorm1d>(4));
  both("1d_rows", std::make_unique<nn::BatchNorm1d>(4));
  both("2d", std::make_unique<nn::BatchNorm2d>(4));
  both("3d", std::make_unique<nn::BatchNorm3d>(4));
  nn::BatchNorm average(4, {.eps = 1e-3, .momentum = {}}),
      bare(4, {.momentum = 0.3, .affine = false});
  check(all, "average", average, plain<nn::BatchNorm>);
  check(all, "plain", bare, plain<nn::BatchNorm>);
  nn::BatchNorm2d untracked(4, {.track_running_stats = false});
  untracked.eval();
  check(all, "untracked", untracked, plain<nn::BatchNorm>);
  for (bool training : {true, false}) {
    nn::BatchNorm2d layer(4);
    layer.train(training);
    std::string suffix = training ? "_training" : "_eval";
    check(all, "relu" + suffix, layer, [](auto& l, auto& x, auto&) { return l.forward_relu(x); });
    check(all, "add_relu" + suffix, layer,
          [](auto& l, auto& x, auto& r) { return l.forward_add_relu(x, r); });
  }
}

TEST_CASE("group norm equals PyTorch") {
  nn::StateDict all = golden("group_norm");
  int64_t cases = 0;
  for (int64_t groups : {1, 2, 6})
    for (int rank : {2, 3, 4}) {
      std::string name = str("groups", groups, "_", rank);
      if (!all.count(name + ".x")) continue;
      nn::GroupNorm layer(groups, 6);
      check(all, name, layer, plain<nn::GroupNorm>);
      ++cases;
    }
  REQUIRE(cases == 8);
}

TEST_CASE("batch norm moves its statistics once a forward in training, under NoGrad too") {
  nn::BatchNorm2d norm(3);
  norm.forward(images());
  {
    NoGrad guard;
    norm.forward(images());
  }
  REQUIRE(norm.num_batches_tracked.item() == 2);
  std::vector<double> mean = norm.running_mean.to_vector();
  norm.eval();
  norm.forward(images(2));
  REQUIRE(norm.num_batches_tracked.item() == 2);
  REQUIRE(norm.running_mean.to_vector() == mean);
}

TEST_CASE("batch norm moves its statistics once where its forward is recomputed") {
  bool nested = GENERATE(false, true);
  nn::BatchNorm2d norm(3), plain_norm(3);
  auto f = [&](const std::vector<Tensor>& in) { return norm.forward_relu(in[0]) * in[0]; };
  Tensor x = images().set_requires_grad(true), twin = images().set_requires_grad(true);
  Tensor y = nested
                 ? recompute([&](const std::vector<Tensor>& in) { return recompute(f, in); }, {x})
                 : recompute(f, {x});
  REQUIRE_FALSE(recomputing());
  sum(square(y)).backward();
  REQUIRE_FALSE(recomputing());
  sum(square(plain_norm.forward_relu(twin) * twin)).backward();
  REQUIRE(norm.num_batches_tracked.item() == 1);
  REQUIRE(norm.running_mean.to_vector() == plain_norm.running_mean.to_vector());
  REQUIRE(norm.running_var.to_vector() == plain_norm.running_var.to_vector());
  REQUIRE(x.grad().to_vector() == twin.grad().to_vector());
  REQUIRE(norm.weight.grad().to_vector() == plain_norm.weight.grad().to_vector());
}

TEST_CASE("batch norm: statistics that move between forward and backward change no gradient") {
  bool training = GENERATE(false, true);
  nn::BatchNorm2d norm(3);
  norm.forward(images(5));
  norm.train(training);
  Tensor x = images().set_requires_grad(true), g = images(7);
  auto gradients = [&](bool moved) {
    Tensor y = norm.forward(x);
    if (moved) {
      norm.running_mean.fill_(100);
      norm.running_var.fill_(100);
    }
    return grad({y}, {x, norm.weight, norm.bias}, {g});
  };
  std::vector<Tensor> want = gradients(false), got = gradients(true);
  for (size_t i = 0; i < 3; ++i) REQUIRE(got[i].to_vector() == want[i].to_vector());
  // Second derivatives in evaluation go through the statistics again.
  Tensor y = norm.forward(x);
  norm.running_var.fill_(4);
  auto twice = [&] { return grad({y}, {x}, {g}, {.create_graph = true}); };
  if (training) REQUIRE_NOTHROW(twice());
  else REQUIRE_THROWS_SAYING(twice(), GradError, "changed in place");
}

TEST_CASE("batch norm: two forwards before one backward") {
  auto batch = [](uint64_t seed) {
    return numbers({4, 3}, seed, DType::f32).set_requires_grad(true);
  };
  Tensor g = numbers({4, 3}, 3, DType::f32), h = numbers({4, 3}, 4, DType::f32);
  for (bool training : {true, false}) {
    nn::BatchNorm1d both(3), each(3);
    both.train(training), each.train(training);
    Tensor a = batch(1), b = batch(2), twin_a = batch(1), twin_b = batch(2);
    Tensor first = both.forward_relu(a), second = both.forward_relu(b);
    sum(first * g + second * h).backward();
    each.forward_relu(twin_a).backward(g);
    each.forward_relu(twin_b).backward(h);
    match("the first batch", a.grad(), twin_a.grad());
    match("the second batch", b.grad(), twin_b.grad());
    match("weight", both.weight.grad(), each.weight.grad());
    match("bias", both.bias.grad(), each.bias.grad());
    for (const Tensor& t : {a, b, both.weight, both.bias})
      REQUIRE(sum(square(t.grad())).item() > 1e-3);
    REQUIRE(both.num_batches_tracked.item() == (training ? 2 : 0));
  }
}

TEST_CASE("batch norm in bf16 keeps its statistics in f32") {
  nn::BatchNorm2d wide(3), norm(3);
  norm.to(DType::bf16);
  REQUIRE(norm.weight.dtype() == DType::bf16);
  REQUIRE(norm.running_mean.dtype() == DType::f32);
  REQUIRE(norm.num_batches_tracked.dtype() == DType::i64);
  Tensor x = images().to(DType::bf16);
  REQUIRE(norm.forward(x).dtype() == DType::bf16);
  wide.forward(x.to(DType::f32));
  REQUIRE(norm.running_var.to_vector() == wide.running_var.to_vector());
  norm.eval(), wide.eval();
  REQUIRE(difference(norm.forward(x).to(DType::f32), wide.forward(x.to(DType::f32))) < 5e-3);
  norm.to(DType::f64);
  REQUIRE(norm.running_mean.dtype() == DType::f64);
  DefaultDType bf16(DType::bf16);
  nn::BatchNorm2d made(3);
  REQUIRE(made.weight.dtype() == DType::bf16);
  REQUIRE(made.running_var.dtype() == DType::f32);
  REQUIRE(made.forward(x).dtype() == DType::bf16);
}

TEST_CASE("batch norm: a state dict goes round; shapes and names are checked") {
  nn::BatchNorm2d norm(3), other(3);
  norm.forward(images());
  REQUIRE(norm.state_dict().size() == 5);
  for (const char* name : kStatistics) REQUIRE(norm.state_dict().count(name) == 1);
  REQUIRE(norm.num_batches_tracked.shape() == Shape{});
  other.load_state_dict(norm.state_dict());
  norm.eval(), other.eval();
  REQUIRE(other.forward(images(2)).to_vector() == norm.forward(images(2)).to_vector());
  REQUIRE(other.num_batches_tracked.item() == 1);
  norm.forward(images());
  REQUIRE_THROWS_SAYING(nn::BatchNorm2d(4).load_state_dict(norm.state_dict()), ValueError,
                        "running_mean: [4] expected, got [3]");
  REQUIRE_THROWS_SAYING(nn::BatchNorm2d(3, {.affine = false}).load_state_dict(norm.state_dict()),
                        ValueError, "unexpected");
}

TEST_CASE("batch norm moves to a device, statistics too, and reads nothing back there") {
  nn::BatchNorm2d norm(3), here(3);
  norm.to(test_device());
  Tensor x = images(), there = x.to(test_device());
  x.set_requires_grad(true), there.set_requires_grad(true);
  Tensor g = images(3), g_there = g.to(test_device());
  int64_t before = transfer_counts(test_device()).to_host;
  Tensor y = norm.forward_add_relu(there, there);
  y.backward(g_there);
  REQUIRE(transfer_counts(test_device()).to_host == before);
  here.forward_add_relu(x, x).backward(g);
  REQUIRE(there.grad().to_vector() == x.grad().to_vector());
  REQUIRE(norm.running_var.device() == test_device());
  REQUIRE(norm.running_var.to_vector() == here.running_var.to_vector());
}

TEST_CASE("batch norm and group norm refuse what does not fit") {
  nn::BatchNorm1d one(3);
  nn::BatchNorm2d two(3);
  nn::BatchNorm3d three(3);
  REQUIRE_THROWS_SAYING(one.forward(zeros({2, 3, 4, 4})), ShapeError, "BatchNorm1d: x [B, 3, ...]");
  REQUIRE_THROWS_SAYING(two.forward(zeros({2, 3, 4})), ShapeError, "of 4 axes expected");
  REQUIRE_THROWS_SAYING(two.forward(zeros({2, 4, 4, 4})), ShapeError, "got [2, 4, 4, 4]");
  REQUIRE_THROWS_SAYING(three.forward(zeros({2, 3, 4, 4})), ShapeError, "of 5 axes expected");
  REQUIRE_THROWS_SAYING(
      one.forward(zeros({1, 3})), ValueError,
      "expected more than 1 value per channel when training, got [1, 3]; a larger "
      "batch, or eval mode");
  REQUIRE(one.num_batches_tracked.item() == 0);
  one.eval();
  REQUIRE(one.forward(zeros({1, 3})).shape() == Shape{1, 3});
  REQUIRE(one.forward(zeros({0, 3})).shape() == Shape{0, 3});
  REQUIRE(nn::BatchNorm(3).forward(zeros({1, 3, 2, 2, 2, 2})).rank() == 6);
  REQUIRE_THROWS_SAYING(nn::BatchNorm2d(0), ValueError, "BatchNorm2d: the number of channels");
  REQUIRE_THROWS_SAYING(nn::BatchNorm2d(3, {.momentum = 2}), ValueError, "momentum is 2");
  REQUIRE_THROWS_SAYING(nn::GroupNorm(2, 3), ValueError, "2 groups do not divide 3 channels");
  REQUIRE_THROWS_SAYING(nn::GroupNorm(2, 4).forward(zeros({2, 6, 3})), ShapeError, "[B, 4, ...]");
  REQUIRE(nn::BatchNorm2d(64).type_name() == "BatchNorm2d(64)");
  REQUIRE(nn::GroupNorm(2, 4).type_name() == "GroupNorm(2, 4)");
}
