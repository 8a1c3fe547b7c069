// Optimizers against PyTorch's trajectories, clipping, and their state.
#include <heed/train/optimizer.h>

#include <cmath>
#include <limits>

#include <nlohmann/json.hpp>

#include <heed/core/device_memory.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/test_device.h>
#include <heed/tests/train/toy.h>
#include <heed/train/weights.h>

namespace heed::test {

namespace {
using Json = nlohmann::json;
const fs::path kGolden = fs::path(HEED_SOURCE_DIR) / "tests/golden";

// max |a - b| <= tolerance (1 + |b|)
void require_close(const Tensor& a, const Tensor& b, double tolerance) {
  REQUIRE(a.shape() == b.shape());
  auto x = a.to_vector(), y = b.to_vector();
  for (size_t i = 0; i < x.size(); ++i)
    REQUIRE(std::abs(x[i] - y[i]) <= tolerance * (1 + std::abs(y[i])));
}

std::unique_ptr<train::Optimizer> make(const Json& spec,
                                       std::map<std::string, Tensor>& parameters) {
  std::string name = spec["class"];
  std::vector<train::Group<SgdSettings>> sgd;
  std::vector<train::Group<AdamSettings>> adam;
  for (const Json& group : spec["groups"]) {
    nn::NamedTensors named;
    for (const std::string p : group["params"]) named.emplace_back(p, parameters.at(p));
    SgdSettings s;
    AdamSettings a;
    s.lr_factor = a.lr_factor = group["lr"];  // the step's rate is 1
    s.weight_decay = a.weight_decay = group.value("weight_decay", 0.0);
    s.momentum = group.value("momentum", 0.0);
    s.nesterov = group.value("nesterov", false);
    if (group.contains("betas")) a.beta1 = group["betas"][0], a.beta2 = group["betas"][1];
    a.eps = group.value("eps", 1e-8);
    sgd.push_back({named, s});
    adam.push_back({named, a});
  }
  if (name == "SGD") return std::make_unique<train::Sgd>(sgd);
  if (name == "Adam") return std::make_unique<train::Adam>(adam);
  return std::make_unique<train::AdamW>(adam);
}

using Named = std::map<std::string, Tensor>;

Named leaves(const nn::StateDict& golden, const std::string& prefix, DType dtype) {
  Named out;
  for (const char* name : {"a", "b", "c"})
    out[name] = golden.at(prefix + name).to(dtype).clone().detach().set_requires_grad(true);
  return out;
}

nn::NamedTensors named(const Named& tensors) { return {tensors.begin(), tensors.end()}; }
}  // namespace

TEST_CASE("optimizers follow PyTorch's trajectories", "[optimizer]") {
  Json all = Json::parse(slurp(kGolden / "optim.json"));
  REQUIRE(all.size() == 6);
  for (DType dtype : {DType::f64, DType::f32}) {
    double tolerance = dtype == DType::f64 ? 1e-12 : 2e-6;
    for (const auto& [name, spec] : all.items()) {
      INFO(name << " " << to_string(dtype));
      nn::StateDict golden = train::read_state(kGolden / ("optim_" + name + ".safetensors"));
      auto parameters = leaves(golden, "init.", dtype);
      auto optimizer = make(spec, parameters);
      for (int step = 1; step <= spec["steps"]; ++step) {
        for (auto& [p, tensor] : parameters)
          tensor.set_grad(golden.at(str("step", step, ".grad.", p)).to(dtype));
        optimizer->step(1.0);
        for (auto& [p, tensor] : parameters)
          require_close(tensor, golden.at(str("step", step, ".param.", p)), tolerance);
      }
      for (const auto& [key, value] : optimizer->state_dict()) {
        if (key == "step") continue;
        std::string kind = key.substr(key.find('.') + 1), parameter = key.substr(0, key.find('.'));
        require_close(value, golden.at("state." + kind + "." + parameter), tolerance);
      }
    }
  }
}

TEST_CASE("clipping scales the next step as PyTorch scales gradients", "[optimizer]") {
  nn::StateDict golden = train::read_state(kGolden / "optim_clip.safetensors");
  for (std::string name : {"clipped", "untouched"}) {
    std::map<std::string, Tensor> parameters;
    for (const char* p : {"a", "b", "c"}) {
      Tensor before = golden.at(name + ".before." + p);
      parameters[p] = zeros(before.shape(), DType::f64).set_requires_grad(true);
      parameters[p].set_grad(before);
    }
    train::Sgd optimizer(named(parameters));
    double norm = optimizer.clip_grad_norm(golden.at(name + ".max_norm").item()).item();
    REQUIRE_THAT(norm, WithinRel(golden.at(name + ".norm").item(), 1e-12));
    optimizer.step(1.0);  // p = -clipped gradient
    for (auto& [p, tensor] : parameters) {
      NoGrad guard;
      require_close(tensor * -1.0, golden.at(name + ".after." + p), 1e-12);
    }
    // The factor is used once.
    auto before = parameters["b"].to_vector();
    optimizer.step(1.0);
    for (size_t i = 0; i < before.size(); ++i)
      REQUIRE_THAT(parameters["b"].to_vector()[i] - before[i],
                   WithinAbs(-golden.at(name + ".before.b").to_vector()[i], 1e-12));
  }
}

TEST_CASE("a step that fails changes nothing, nor do later ones, until it is forgotten",
          "[optimizer]") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const double inf = std::numeric_limits<double>::infinity();
  for (Device device : {kCpu, test_device()})
    for (double bad : {nan, inf}) {
      DefaultDevice on(device);
      Mlp model;
      train::AdamW optimizer(model.named_parameters());
      auto good_step = [&] {
        toy_loss(model, 0, 0).backward();
        optimizer.clip_grad_norm(1);
        optimizer.step(0.1);
        optimizer.zero_grad();
      };
      good_step();
      REQUIRE(optimizer.failed_step() == std::nullopt);
      auto weights = bits(model.state_dict()), moments = bits(optimizer.state_dict());

      TransferCounts before = transfer_counts(test_device());
      toy_loss(model, 0, 1).backward();
      model.second.bias.set_grad(model.second.bias.new_full({3}, bad));
      Tensor norm = optimizer.clip_grad_norm(1);
      optimizer.step(0.1);
      REQUIRE(transfer_counts(test_device()).to_host == before.to_host);
      REQUIRE_FALSE(std::isfinite(norm.item()));
      REQUIRE(optimizer.bad_gradients() == std::vector<std::string>{"second.bias"});
      optimizer.zero_grad();
      good_step();
      REQUIRE(optimizer.failed_step() == 2);
      REQUIRE(bits(model.state_dict()) == weights);
      REQUIRE(bits(optimizer.state_dict()) == moments);

      optimizer.forget_failure();
      optimizer.watch(full({}, bad));
      good_step();
      REQUIRE(optimizer.failed_step() == 2);
      REQUIRE(bits(model.state_dict()) == weights);
      optimizer.forget_failure();
      good_step();
      REQUIRE(optimizer.step_count() == 2);
      REQUIRE(bits(model.state_dict()) != weights);
    }
}

TEST_CASE("a momentum buffer that a failed step would have made is none", "[optimizer]") {
  const double inf = std::numeric_limits<double>::infinity();
  Tensor p = ones({2}).set_requires_grad(true);
  train::Sgd optimizer(nn::NamedTensors{{"p", p}}, {.momentum = 0.9, .dampening = 0.5});
  auto step = [&](double gradient) {
    p.set_grad(full({2}, gradient));
    optimizer.clip_grad_norm(1e9);
    optimizer.step(1);
  };
  step(inf);
  REQUIRE(optimizer.state_dict().size() == 1);  // the step's number alone
  optimizer.forget_failure();
  step(0.25);  // the first step takes the gradient undamped
  REQUIRE_THAT(p.to_vector()[0], WithinAbs(0.75, 1e-6));
  REQUIRE(optimizer.state_dict().size() == 2);
  // The factor that a norm of infinity left is forgotten with the failure.
  p.set_grad(full({2}, inf));
  optimizer.clip_grad_norm(1);
  optimizer.forget_failure();
  p.set_grad(full({2}, 1));
  optimizer.step(1);  // buffer 0.9 x 0.25 + 0.5 x 1
  REQUIRE_THAT(p.to_vector()[0], WithinAbs(0.75 - 0.725, 1e-6));
}

TEST_CASE("parameters without a gradient stay", "[optimizer]") {
  Mlp model;
  train::AdamW optimizer(model.named_parameters(), {.weight_decay = 0.1});
  auto before = bits(model.state_dict());
  REQUIRE(optimizer.clip_grad_norm(1).item() == 0);
  optimizer.step(0.1);
  REQUIRE(bits(model.state_dict()) == before);
  REQUIRE(optimizer.step_count() == 1);
}

TEST_CASE("an optimizer's state goes on to the bit", "[optimizer]") {
  auto run = [](auto make) {
    Mlp model, twin;
    auto optimizer = make(model), other = make(twin);
    for (int i = 0; i < 3; ++i) {
      toy_loss(model, 0, i).backward();
      optimizer->step(0.01);
      optimizer->zero_grad();
    }
    twin.load_state_dict(model.state_dict());
    other->load_state_dict(optimizer->state_dict());
    REQUIRE(other->step_count() == 3);
    uint64_t offset = default_generator().offset();
    for (auto [m, o] : {std::pair{&model, optimizer.get()}, std::pair{&twin, other.get()}}) {
      default_generator().set_state(1, offset);
      toy_loss(*m, 0, 3).backward();
      o->step(0.01);
    }
    REQUIRE(bits(model.state_dict()) == bits(twin.state_dict()));
    REQUIRE(bits(optimizer->state_dict()) == bits(other->state_dict()));
  };
  run([](Mlp& m) {
    return std::make_unique<train::AdamW>(train::decay_matrices(m, {.weight_decay = 0.1}));
  });
  SgdSettings momentum{.momentum = 0.9, .dampening = 0.5};
  run([&](Mlp& m) { return std::make_unique<train::Sgd>(m.named_parameters(), momentum); });
  run([](Mlp& m) { return std::make_unique<train::Sgd>(m.named_parameters()); });
}

TEST_CASE("an optimizer refuses another one's state", "[optimizer]") {
  Mlp model;
  train::AdamW optimizer(model.named_parameters());
  nn::StateDict good = optimizer.state_dict();
  auto without = [&](const char* key) {
    nn::StateDict state = good;
    state.erase(key);
    return state;
  };
  REQUIRE_THROWS_SAYING(optimizer.load_state_dict(without("step")), ValueError, "missing: step");
  REQUIRE_THROWS_SAYING(optimizer.load_state_dict(without("first.bias.exp_avg")), ValueError,
                        "missing: first.bias.exp_avg");
  nn::StateDict more = good;
  more["other.exp_avg"] = zeros({1});
  REQUIRE_THROWS_SAYING(optimizer.load_state_dict(more), ValueError, "unexpected: other.exp_avg");
  nn::StateDict shape = good;
  shape["first.bias.exp_avg"] = zeros({2});
  REQUIRE_THROWS_SAYING(optimizer.load_state_dict(shape), ValueError,
                        "first.bias.exp_avg: f32 [16] expected, got f32 [2]");
  REQUIRE(optimizer.step_count() == 0);
}

TEST_CASE("optimizers refuse settings without meaning", "[optimizer]") {
  Mlp model;
  auto p = model.named_parameters();
  REQUIRE_THROWS_SAYING(train::Adam(p, {.beta1 = 1}), ValueError, "beta1");
  REQUIRE_THROWS_SAYING(train::AdamW(p, {.eps = 0}), ValueError, "eps");
  REQUIRE_THROWS_SAYING(train::Sgd(p, {.momentum = -1}), ValueError, "momentum");
  REQUIRE_THROWS_SAYING(train::Sgd(p, {.nesterov = true}), ValueError, "nesterov");
  REQUIRE_THROWS_SAYING(train::Sgd(nn::NamedTensors{}), ValueError, "no parameters");
  REQUIRE_THROWS_SAYING(train::Sgd({{"x", zeros({2})}}), ValueError, "x is no parameter");
  REQUIRE_THROWS_SAYING(train::Sgd({p[0], p[0]}), ValueError, "two parameters named");
  train::Sgd sgd(p);
  REQUIRE_THROWS_SAYING(sgd.step(-1), ValueError, "learning rate");
  REQUIRE_THROWS_SAYING(sgd.clip_grad_norm(0), ValueError, "max_norm");
}

TEST_CASE("optimizer: bf16 parameters have their state in f32") {
  Tensor p = full({3}, 1, DType::bf16);
  p.set_requires_grad(true);
  train::Adam adam(nn::NamedTensors{{"p", p}});
  nn::StateDict state = adam.state_dict();
  REQUIRE(state.size() == 4);
  for (const char* name : {"p.exp_avg", "p.exp_avg_sq", "p.master"})
    REQUIRE(state.at(name).dtype() == DType::f32);
  REQUIRE(state.at("p.master").to_vector() == std::vector<double>{1, 1, 1});

  Tensor q = full({3}, 1).set_requires_grad(true);
  REQUIRE_THROWS_SAYING(train::Adam(nn::NamedTensors{{"p", q}}).load_state_dict(state), ValueError,
                        "unexpected: p.master");
}

TEST_CASE("optimizer: what bf16 rounds away adds up in the master") {
  Tensor p = full({1}, 1, DType::bf16);
  p.set_requires_grad(true);
  train::Sgd sgd(nn::NamedTensors{{"p", p}});
  auto step = [&](double rate) {
    p.set_grad(full({1}, 1, DType::bf16));
    sgd.step(rate);
  };
  for (int i = 0; i < 10; ++i) step(1e-3);  // each a quarter of the distance to the number below 1
  REQUIRE(std::abs(sgd.state_dict().at("p.master").item() - 0.99) < 1e-6);
  REQUIRE(p.item() == to_float(to_bfloat16(0.99F)));

  {  // set from elsewhere: the master follows
    NoGrad guard;
    p.fill_(3);
  }
  step(0.5);
  REQUIRE(p.item() == 2.5);
  REQUIRE(sgd.state_dict().at("p.master").item() == 2.5);
}

}  // namespace heed::test
