#include <heed/tests/nn/golden.h>
#include <heed/tests/support/test_device.h>

using namespace heed;
using namespace heed::test;

namespace {

struct Net : nn::Module {
  nn::Linear first{3, 4}, second{4, 3};
  Tensor mean = zeros({4});
  Net() {
    register_module("first", first);
    register_module("second", second);
    register_buffer("mean", mean);
  }
  std::string type_name() const override { return "Net"; }
};

// The output matrix is the embedding.
struct Tied : nn::Module {
  nn::Embedding embedding{5, 4};
  nn::Linear out{4, 5, false};
  Tied() {
    out.weight = embedding.weight;
    register_module("embedding", embedding);
    register_module("out", out);
  }
};

std::vector<std::string> names(const nn::NamedTensors& list) {
  std::vector<std::string> out;
  for (const auto& [name, tensor] : list) out.push_back(name);
  return out;
}

}  // namespace

TEST_CASE("module: names, order and counts of parameters") {
  Net net;
  REQUIRE(names(net.named_parameters()) ==
          std::vector<std::string>{"first.weight", "first.bias", "second.weight", "second.bias"});
  REQUIRE(names(net.named_buffers()) == std::vector<std::string>{"mean"});
  REQUIRE(net.parameter_count() == 3 * 4 + 4 + 4 * 3 + 3);
  REQUIRE(net.state_dict().size() == 5);
  for (const Tensor& t : net.parameters()) REQUIRE(t.requires_grad());
  REQUIRE_FALSE(net.mean.requires_grad());
}

TEST_CASE("module: tied parameters are listed once, saved twice, and stay tied") {
  Tied net;
  REQUIRE(net.parameters().size() == 1);
  REQUIRE(names(net.named_parameters(true)) ==
          std::vector<std::string>{"embedding.weight", "out.weight"});
  REQUIRE(net.parameter_count() == 20);
  REQUIRE(net.state_dict().size() == 2);
  net.to(DType::f64);
  REQUIRE(net.out.weight.dtype() == DType::f64);
  REQUIRE(net.out.weight.impl() == net.embedding.weight.impl());
  REQUIRE(net.out.weight.requires_grad());
}

TEST_CASE("module: of tied names one is enough to load, and two must agree") {
  Tied net;
  Tensor value = full({5, 4}, 3), other = full({5, 4}, 4);
  for (const char* name : {"embedding.weight", "out.weight"}) {
    net.embedding.weight.detach().fill_(0);
    net.load_state_dict({{name, value}});
    REQUIRE(net.out.weight.to_vector() == value.to_vector());
    REQUIRE(net.out.weight.impl() == net.embedding.weight.impl());
  }
  net.load_state_dict({{"embedding.weight", value}, {"out.weight", value.clone()}});
  REQUIRE_THROWS_SAYING(
      net.load_state_dict({{"embedding.weight", value}, {"out.weight", other}}), ValueError,
      "1 of one tensor, but with different values:\n  embedding.weight and out.weight");
  REQUIRE(net.out.weight.to_vector() == value.to_vector());
  REQUIRE_THROWS_SAYING(net.load_state_dict({}), ValueError, "2 missing:\n  embedding.weight");
}

TEST_CASE("module: train and eval reach every submodule") {
  Net net;
  net.eval();
  REQUIRE_FALSE(net.second.is_training());
  net.train();
  REQUIRE(net.second.is_training());
}

TEST_CASE("module: to changes the dtype of parameters and floating buffers") {
  Net net;
  Tensor handle = net.first.weight;
  std::vector<double> before = handle.to_vector();
  net.to(DType::f64);
  REQUIRE(handle.dtype() == DType::f64);
  REQUIRE(net.mean.dtype() == DType::f64);
  REQUIRE(handle.to_vector() == before);
  REQUIRE_THROWS_SAYING(net.to(DType::i64), DTypeError, "f32, f64 or bf16 expected");
}

TEST_CASE("module: to moves parameters, gradients and buffers, saved or not, to a device") {
  struct WithTable : nn::Module {
    Net net;
    Tensor table = ones({2});
    WithTable() {
      register_module("net", net);
      register_buffer("table", table, false);
    }
  } model;
  REQUIRE(model.state_dict().size() == 5);
  Tensor x = randn({2, 3});
  Tensor here = model.net.second.forward(model.net.first.forward(x));
  sum(here).backward();
  std::vector<double> gradient = model.net.first.weight.grad().to_vector();

  Device device = test_device();
  model.to(device);
  for (const auto& [name, t] : model.state_dict()) REQUIRE(t.device() == device);
  REQUIRE(model.table.device() == device);
  REQUIRE(model.net.first.weight.grad().device() == device);
  REQUIRE(model.net.first.weight.grad().to_vector() == gradient);
  Tensor there = model.net.second.forward(model.net.first.forward(x.to(device)));
  REQUIRE(there.to_vector() == here.to_vector());
  // A graph from before the move is of no use, and says so.
  Tensor bias = model.net.first.bias;
  int calls = 0;
  bias.register_hook(
      [](const Tensor&, void* context) {
        ++*static_cast<int*>(context);
        return Tensor();
      },
      &calls);
  Tensor late = sum(model.net.first.forward(x.to(device)));
  model.to(kCpu);
  REQUIRE_THROWS_SAYING(late.backward(), GradError, "between forward and backward");
  sum(model.net.first.forward(x)).backward();
  REQUIRE(calls == 1);  // hooks move along
  Tied tied;
  tied.to(device);
  REQUIRE(tied.out.weight.impl() == tied.embedding.weight.impl());
  REQUIRE(tied.out.weight.requires_grad());

  DefaultDevice on(device);
  DefaultDType wide(DType::f64);
  nn::Linear made(2, 3);
  REQUIRE(made.weight.device() == device);
  REQUIRE(made.weight.dtype() == DType::f64);
  made.to(kCpu);
  REQUIRE(made.weight.device() == kCpu);
}

TEST_CASE("module: zero_grad clears") {
  Net net;
  sum(net.first.forward(ones({2, 3}))).backward();
  REQUIRE(net.first.weight.grad().defined());
  net.zero_grad();
  REQUIRE_FALSE(net.first.weight.grad().defined());
}

TEST_CASE("module: load_state_dict copies values and converts dtypes") {
  Net a, b;
  nn::StateDict state;
  for (const auto& [name, t] : b.state_dict()) state[name] = t.detach().to(DType::f64);
  a.load_state_dict(state);
  REQUIRE(a.first.weight.to_vector() == b.first.weight.to_vector());
  REQUIRE(a.first.weight.dtype() == DType::f32);
  REQUIRE_FALSE(a.first.weight.array().shares_storage(b.first.weight.array()));
}

TEST_CASE("module: load_state_dict lists every fault and changes nothing") {
  Net net;
  std::vector<double> before = net.first.weight.to_vector();
  nn::StateDict state = Net().state_dict();
  state.erase("second.weight");
  state.erase("mean");
  state["third.weight"] = zeros({1});
  state["first.bias"] = zeros({7});
  for (const char* part :
       {"2 missing:", "second.weight [3, 4]", "mean [4]", "1 unexpected:\n  third.weight",
        "1 of another shape:\n  first.bias: [4] expected, got [7]", "Net"})
    REQUIRE_THROWS_SAYING(net.load_state_dict(state), ValueError, part);
  for (char c = 'a'; c < 'g'; ++c) state[std::string("another.") + c] = zeros({1});
  REQUIRE_THROWS_SAYING(net.load_state_dict(state), ValueError,
                        "7 unexpected:\n  another.a\n  another.b\n  another.c\n  another.d\n  "
                        "another.e\n  another.f\n  ..\n1 of another shape");
  REQUIRE(net.first.weight.to_vector() == before);
}

TEST_CASE("module: summary shows shapes and counts, a tied matrix once in the total") {
  std::string text = Net().summary();
  for (const char* part :
       {"Net", "first: Linear(3, 4)", "weight [4, 3], bias [4]", "total: 31 parameters"})
    REQUIRE_THAT(text, ContainsSubstring(part));
  REQUIRE_THAT(Tied().summary(), ContainsSubstring("total: 20 parameters"));
  nn::Embedding big(1000, 1000);
  REQUIRE_THAT(big.summary(), ContainsSubstring("1,000,000"));
}

TEST_CASE("module: visit names every path; an empty name joins without a dot") {
  nn::TransformerEncoderLayer layer({.width = 8, .hidden = 16, .attention = {.heads = 2}});
  std::vector<std::string> paths;
  layer.visit([&](const std::string& path, nn::Module&) { paths.push_back(path); });
  REQUIRE(paths.front().empty());
  REQUIRE(std::find(paths.begin(), paths.end(), "linear1") != paths.end());
  REQUIRE(std::find(paths.begin(), paths.end(), "self_attn.q_proj") != paths.end());
  REQUIRE(layer.state_dict().count("linear2.bias") == 1);
}

TEST_CASE("module: enter names the place in errors and reports") {
  Net net;
  auto scope = net.first.enter();
  REQUIRE(ModuleScope::path() == "first");
}
