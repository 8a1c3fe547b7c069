#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;
using nn::Mask;
using nn::TransformerStackConfig;

namespace {

constexpr double kTolerance = 1e-10;

TransformerStackConfig small(bool pre, const std::string& activation = "relu") {
  return {.layer = {.width = 8,
                    .hidden = 16,
                    .dropout = 0,
                    .activation = activation,
                    .norm_first = pre,
                    .attention = {.heads = 2}},
          .layers = 2};
}

Mask range(const nn::StateDict& file, const std::string& prefix, bool queries) {
  auto begin = file.find(prefix + "_begin");
  if (begin == file.end()) return {};
  Lengths first = lengths_of(begin->second), end = lengths_of(file.at(prefix + "_end"));
  return queries ? Mask::padding(first, end) : Mask::key_padding(first, end);
}

// forward() -> output; then all gradients against the file.
template <class Forward>
void check_case(nn::Module& module, const nn::StateDict& file, const std::string& name,
                const std::vector<std::string>& inputs, const Mask& mask, Forward&& forward) {
  INFO(name);
  module.to(DType::f64);
  module.load_state_dict(nn::from_pytorch(below(file, "param."), module));
  std::vector<Tensor> in;
  for (const std::string& input : inputs)
    in.push_back(file.at(name + "." + input).clone().set_requires_grad(true));
  Tensor y = forward(in);
  REQUIRE(difference(mask.select_queries(y, 1), mask.select_queries(file.at(name + ".out"), 1)) <
          kTolerance);
  y.backward(file.at(name + ".cotangent"));
  for (size_t i = 0; i < in.size(); ++i)
    REQUIRE(difference(in[i].grad(), file.at(name + ".grad." + inputs[i])) < kTolerance);
  nn::StateDict expected = nn::from_pytorch(below(file, name + ".grad.param."), module);
  REQUIRE(expected.size() == module.parameters().size());
  for (const auto& [parameter, tensor] : module.named_parameters()) {
    INFO(parameter);
    REQUIRE(difference(tensor.grad(), expected.at(parameter)) < kTolerance);
  }
}

}  // namespace

TEST_CASE("encoder layer: as PyTorch's, pre- and post-norm, relu and gelu") {
  bool pre = GENERATE(false, true);
  std::string activation = GENERATE("relu", "gelu");
  nn::StateDict file =
      golden(std::string("encoder_layer_") + (pre ? "pre_" : "post_") + activation);
  for (std::string name : {"plain", "causal", "padding"}) {
    TransformerStackConfig config = small(pre, activation);
    config.layer.attention.causal = name == "causal";
    nn::TransformerEncoderLayer layer(config.layer);
    Mask mask = range(file, name + ".key", true);
    check_case(layer, file, name, {"x"}, mask,
               [&](auto& in) { return layer.forward(in[0], mask); });
  }
}

TEST_CASE("encoder stack: as PyTorch's, with and without recomputing") {
  bool pre = GENERATE(false, true), recompute = GENERATE(false, true);
  nn::StateDict file = golden(pre ? "encoder_stack_pre" : "encoder_stack_post");
  for (std::string name : {"plain", "causal", "padding"}) {
    TransformerStackConfig config = small(pre);
    config.layer.attention.causal = name == "causal";
    config.recompute = recompute;
    nn::TransformerEncoder encoder(config);
    Mask mask = range(file, name + ".key", true);
    check_case(encoder, file, name, {"x"}, mask,
               [&](auto& in) { return encoder.forward(in[0], mask); });
  }
}

TEST_CASE("decoder layer and stack: as PyTorch's") {
  bool pre = GENERATE(false, true), stack = GENERATE(false, true),
       recompute = GENERATE(false, true);
  std::string form = pre ? "pre" : "post";
  nn::StateDict file = golden(stack ? "decoder_stack_" + form : "decoder_layer_" + form + "_relu");
  for (std::string name : {"causal", "padding"}) {
    Mask mask = range(file, name + ".key", true), memory = range(file, name + ".memory", false);
    TransformerStackConfig config = small(pre);
    config.recompute = recompute;
    if (stack) {
      nn::TransformerDecoder decoder(config);
      check_case(decoder, file, name, {"x", "memory"}, mask,
                 [&](auto& in) { return decoder.forward(in[0], in[1], mask, memory); });
    } else {
      nn::TransformerDecoderLayer layer(config.layer);
      check_case(layer, file, name, {"x", "memory"}, mask,
                 [&](auto& in) { return layer.forward(in[0], in[1], mask, memory); });
    }
  }
}

TEST_CASE("Transformer stacks: recomputing runs each layer's forward once more, in backward") {
  TransformerStackConfig config = small(true);
  auto flops = [&](bool decoder, bool backward) {
    Tensor x = numbers({2, 4, 8}, 1).to(DType::f32).set_requires_grad(true), memory = x.detach();
    nn::TransformerEncoder encoder(config);
    nn::TransformerDecoder other(config);
    FlopCounter counter;
    Tensor y = decoder ? other.forward(x, memory) : encoder.forward(x);
    if (backward) sum(y).backward();
    return counter.flops();
  };
  for (bool decoder : {false, true}) {
    config.recompute = false;
    int64_t forward = flops(decoder, false), both = flops(decoder, true);
    config.recompute = true;
    REQUIRE((forward > 0 && flops(decoder, false) == forward));
    REQUIRE(flops(decoder, true) == both + forward);
  }
}

TEST_CASE("Transformer: NaN in padding reaches nothing") {
  double nan = std::numeric_limits<double>::quiet_NaN();
  bool pre = GENERATE(false, true);
  manual_seed(2);
  nn::TransformerDecoder decoder(small(pre));
  decoder.to(DType::f64);
  Mask mask = Mask::padding({4, 2}), memory_mask = Mask::key_padding({1, 0}, {6, 3});
  auto run = [&](double garbage) {
    decoder.zero_grad();
    Tensor x = with_garbage(numbers({2, 4, 8}, 1), {0, 0}, {4, 2}, garbage).set_requires_grad(true);
    Tensor memory =
        with_garbage(numbers({2, 6, 8}, 2), {1, 0}, {6, 3}, garbage).set_requires_grad(true);
    Tensor y = decoder.forward(x, memory, mask, memory_mask);
    y.backward(mask.select_queries(numbers({2, 4, 8}, 3), 1));
    std::vector<Tensor> out{mask.select_queries(y.detach(), 1), x.grad(), memory.grad()};
    for (const Tensor& p : decoder.parameters()) out.push_back(p.grad());
    return out;
  };
  std::vector<Tensor> clean = run(0), dirty = run(nan);
  for (size_t i = 0; i < clean.size(); ++i) REQUIRE(difference(dirty[i], clean[i]) == 0);
}

TEST_CASE("Transformer: the four dropouts act in training only") {
  TransformerStackConfig config = small(GENERATE(false, true));
  config.layer.dropout = 0.5;
  nn::TransformerEncoder encoder(config);
  REQUIRE(encoder.layer(0).self_attn.attention_dropout() == 0.5);
  Tensor x = numbers({2, 5, 8}, 1, DType::f32);
  manual_seed(1);
  Tensor first = encoder.forward(x);
  manual_seed(1);
  REQUIRE(encoder.forward(x).to_vector() == first.to_vector());
  REQUIRE(difference(encoder.forward(x), first) > 1e-2);
  encoder.eval();
  REQUIRE(encoder.forward(x).to_vector() == encoder.forward(x).to_vector());
  config.layer.attention.dropout = 0.0;
  REQUIRE(nn::TransformerEncoder(config).layer(1).self_attn.attention_dropout() == 0);
}

TEST_CASE("decoder-only stack: step by step equals forward for every split") {
  auto positions = GENERATE(as<std::string>(), "none", "rope", "alibi", "relative");
  manual_seed(4);
  TransformerStackConfig config = small(GENERATE(false, true));
  config.layer.attention.causal = true;
  if (positions == "rope") config.layer.attention.rope = nn::RopeOptions{};
  if (positions == "alibi") config.positions = nn::PositionTerm::alibi;
  if (positions == "relative") config.positions = nn::PositionTerm::relative;
  config.layer.attention.kv_heads = 1;
  nn::TransformerEncoder model(config);
  model.to(DType::f64);
  int64_t n = 6;
  Tensor x = numbers({2, n, 8}, 1);
  Tensor whole = model.forward(x);
  for (int64_t cut = 1; cut <= n; ++cut) {
    nn::StackState state = model.new_state(2);
    std::vector<Tensor> parts{model.step(x.slice(1, 0, cut), state)};
    for (int64_t t = cut; t < n; ++t) parts.push_back(model.step(x.slice(1, t, t + 1), state));
    REQUIRE(difference(concat(parts, 1), whole) < 1e-12);
    REQUIRE(state.lengths() == Lengths{n, n});
  }
  // Prompts of 2 and 4 tokens, padded on the right or on the left.
  for (bool left : {false, true}) {
    nn::StackState state = model.new_state(2);
    Tensor gap = zeros({1, 2, 8}, DType::f64), own = x.slice(0, 0, 1).slice(1, 0, 2);
    Tensor prompt = concat(
        {left ? concat({gap, own}, 1) : concat({own, gap}, 1), x.slice(0, 1, 2).slice(1, 0, 4)}, 0);
    Mask mask = left ? Mask::padding({2, 0}, {4, 4}) : Mask::padding({2, 4});
    Tensor y = model.step(prompt, state, mask);
    REQUIRE(difference(y[0][left ? 3 : 1], whole[0][1]) < 1e-12);
    Tensor next = concat({x.slice(0, 0, 1).slice(1, 2, 4), x.slice(0, 1, 2).slice(1, 4, 6)}, 0);
    Tensor z = model.step(next, state);
    REQUIRE(difference(z[0], whole[0].slice(0, 2, 4)) < 1e-12);
    REQUIRE(difference(z[1], whole[1].slice(0, 4, 6)) < 1e-12);
  }
}

TEST_CASE("decoder: step by step equals forward, with padded memory; beams move") {
  manual_seed(5);
  TransformerStackConfig config = small(GENERATE(false, true));
  config.positions = GENERATE(nn::PositionTerm::none, nn::PositionTerm::relative);
  nn::TransformerDecoder decoder(config);
  decoder.to(DType::f64);
  Tensor x = numbers({2, 5, 8}, 1), memory = numbers({2, 6, 8}, 2);
  double nan = std::numeric_limits<double>::quiet_NaN();
  memory = with_garbage(memory, {0, 2}, {4, 6}, nan);
  Mask memory_mask = Mask::key_padding({0, 2}, {4, 6});
  Tensor whole = decoder.forward(x, memory, {}, memory_mask);
  for (int64_t cut = 1; cut <= 5; ++cut) {
    nn::StackState state = decoder.new_state(memory, memory_mask);
    std::vector<Tensor> parts{decoder.step(x.slice(1, 0, cut), state)};
    for (int64_t t = cut; t < 5; ++t) parts.push_back(decoder.step(x.slice(1, t, t + 1), state));
    REQUIRE(difference(concat(parts, 1), whole) < 1e-12);
  }

  // Row 1 twice and row 0: each goes on as it would have.
  nn::StackState state = decoder.new_state(memory, memory_mask);
  decoder.step(x.slice(1, 0, 2), state);
  nn::StackState other = state.clone();
  state.select({1, 1, 0});
  REQUIRE(state.batch() == 3);
  Tensor again = concat({x.slice(0, 1, 2), x.slice(0, 1, 2), x.slice(0, 0, 1)}, 0).slice(1, 2, 3);
  Tensor y = decoder.step(again, state);
  REQUIRE(difference(y[0][0], whole[1][2]) < 1e-12);
  REQUIRE(difference(y[1][0], whole[1][2]) < 1e-12);
  REQUIRE(difference(y[2][0], whole[0][2]) < 1e-12);

  nn::StackState loaded = decoder.new_state(memory, memory_mask);
  loaded.load(other.save());
  Tensor third = decoder.step(x.slice(1, 2, 3), loaded);
  REQUIRE(difference(third, whole.slice(1, 2, 3)) < 1e-12);
  REQUIRE(other.bytes() > 0);
  other.select({0, 0}, true);  // same memory: cross states stay
  REQUIRE(other.cross[0]->batch() == 2);
  REQUIRE_THROWS_SAYING(other.select({0, 0, 0}, true), ValueError, "same_memory");
  REQUIRE_THROWS_SAYING(other.load({}), ValueError, "is missing");
}

TEST_CASE("Transformer: parameters shared by a stack, and bad input") {
  TransformerStackConfig config = small(false);
  config.positions = nn::PositionTerm::relative;
  nn::TransformerEncoder encoder(config);
  REQUIRE(encoder.state_dict().count("position_bias.table") == 1);
  REQUIRE_THAT(encoder.summary(),
               ContainsSubstring("layers.1: TransformerEncoderLayer(post-norm)"));
  REQUIRE_THROWS_SAYING(encoder.new_state(2), ValueError, "only a causal stack");
  config.layers = 0;
  REQUIRE_THROWS_SAYING(nn::TransformerEncoder(config), ValueError, "at least one layer");
  config = small(false);
  config.layer.attention.causal = true;
  nn::TransformerEncoder two(config);
  config.layers = 3;
  nn::TransformerEncoder three(config);
  nn::StackState state = two.new_state(1);
  REQUIRE_THROWS_SAYING(three.step(zeros({1, 1, 8}), state), ValueError,
                        "2 layers for a stack of 3");
  config.final_norm = false;
  REQUIRE(nn::TransformerEncoder(config).state_dict().count("norm.weight") == 0);
}
