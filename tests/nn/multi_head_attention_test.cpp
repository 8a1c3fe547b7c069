#include <heed/autograd/backward.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention_recorder.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;
using nn::Mask;
using nn::MultiHeadAttention;

namespace {

constexpr double kTolerance = 1e-10;

Mask padding_of(const nn::StateDict& file, const std::string& name, bool self) {
  auto begin = file.find(name + ".key_begin");
  if (begin == file.end()) return {};
  Lengths first = lengths_of(begin->second), end = lengths_of(file.at(name + ".key_end"));
  return self ? Mask::padding(first, end) : Mask::key_padding(first, end);
}

// Rows that count: PyTorch computes padded queries too.
Tensor valid_rows(const Tensor& x, const Mask& mask) { return mask.select_queries(x, 1); }

void check_parameter_gradients(nn::Module& module, const nn::StateDict& file,
                               const std::string& name) {
  nn::StateDict expected = nn::from_pytorch(below(file, name + ".grad.param."), module);
  REQUIRE(expected.size() == module.parameters().size());
  for (const auto& [parameter, tensor] : module.named_parameters()) {
    INFO(parameter);
    REQUIRE(difference(tensor.grad(), expected.at(parameter)) < kTolerance);
  }
}

}  // namespace

TEST_CASE("MultiHeadAttention: self-attention as PyTorch's, outputs, weights and gradients") {
  bool bias = GENERATE(true, false);
  nn::StateDict file = golden(bias ? "mha_self" : "mha_self_nobias");
  for (std::string name : {"plain", "causal", "bias", "padding", "causal_padding"}) {
    INFO(name);
    MultiHeadAttention a(8, {.heads = 2, .bias = bias, .causal = name.starts_with("causal")});
    a.to(DType::f64);
    a.load_state_dict(nn::from_pytorch(below(file, "param."), a));
    Mask mask = padding_of(file, name, true);
    if (name == "bias") mask = mask & Mask::added(file.at("bias.attn_bias"));
    Tensor x = file.at(name + ".x").clone().set_requires_grad(true);
    Tensor y = a.forward(x, mask);
    REQUIRE(difference(valid_rows(y, mask), valid_rows(file.at(name + ".out"), mask)) < kTolerance);
    y.backward(file.at(name + ".cotangent"));
    REQUIRE(difference(x.grad(), file.at(name + ".grad.x")) < kTolerance);
    check_parameter_gradients(a, file, name);
    Tensor map = a.weights(x, x, mask), expected = file.at(name + ".weights_heads");
    REQUIRE(difference(mask.select_queries(map, 2), mask.select_queries(expected, 2)) < kTolerance);
  }
}

TEST_CASE("MultiHeadAttention: cross-attention as PyTorch's, kdim and vdim too") {
  bool own_widths = GENERATE(false, true);
  nn::StateDict file = golden(own_widths ? "mha_cross_kdim" : "mha_cross");
  for (std::string name : {"plain", "padding"}) {
    INFO(name);
    MultiHeadAttention a(
        8, {.heads = 2, .key_width = own_widths ? 6 : 0, .value_width = own_widths ? 10 : 0});
    a.to(DType::f64);
    a.load_state_dict(nn::from_pytorch(below(file, "param."), a));
    Mask mask = padding_of(file, name, false);
    std::vector<Tensor> in;
    for (const char* input : {"query", "key", "value"})
      in.push_back(file.at(name + "." + input).clone().set_requires_grad(true));
    Tensor y = a.forward(in[0], in[1], in[2], mask);
    REQUIRE(difference(y, file.at(name + ".out")) < kTolerance);
    y.backward(file.at(name + ".cotangent"));
    REQUIRE(difference(in[0].grad(), file.at(name + ".grad.query")) < kTolerance);
    REQUIRE(difference(in[1].grad(), file.at(name + ".grad.key")) < kTolerance);
    REQUIRE(difference(in[2].grad(), file.at(name + ".grad.value")) < kTolerance);
    check_parameter_gradients(a, file, name);
    REQUIRE(difference(a.weights(in[0], in[1], mask), file.at(name + ".weights_heads")) <
            kTolerance);
    REQUIRE(difference(a.weights(in[0], in[1], mask, {3}),
                       file.at(name + ".weights_heads").slice(2, 3, 4)) < kTolerance);
  }
}

TEST_CASE("MultiHeadAttention: NaN in padding reaches neither outputs nor gradients") {
  double nan = std::numeric_limits<double>::quiet_NaN();
  manual_seed(1);
  MultiHeadAttention a(8, {.heads = 2, .causal = GENERATE(false, true)});
  a.to(DType::f64);
  std::vector<int64_t> begin{0, 1}, end{3, 5};
  Mask both = Mask::padding(begin, end);
  Mask mask = GENERATE_COPY(values<Mask>({both, Mask::key_padding(begin, end)}));
  auto run = [&](double garbage) {
    a.zero_grad();
    Tensor x = with_garbage(numbers({2, 5, 8}, 1), begin, end, garbage).set_requires_grad(true);
    Tensor y = a.forward(x, mask);
    y.backward(both.select_queries(numbers({2, 5, 8}, 2), 1));
    std::vector<Tensor> out{both.select_queries(y.detach(), 1), x.grad()};
    for (const Tensor& p : a.parameters()) out.push_back(p.grad());
    return out;
  };
  std::vector<Tensor> clean = run(0), dirty = run(nan);
  for (size_t i = 0; i < clean.size(); ++i) REQUIRE(difference(dirty[i], clean[i]) == 0);
  REQUIRE(all_zero(clean[1][0].slice(0, 3, 5)));
}

TEST_CASE("MultiHeadAttention: grouped heads equal repeated key heads") {
  MultiHeadAttention grouped(8, {.heads = 4, .kv_heads = 2}), full(8, {.heads = 4});
  nn::StateDict state = grouped.state_dict();
  for (const char* name : {"k_proj.weight", "k_proj.bias", "v_proj.weight", "v_proj.bias"}) {
    Tensor t = state.at(name).detach();  // [2 * 2, ..]: rows of head 0, rows of head 1
    state[name] =
        concat({t.slice(0, 0, 2), t.slice(0, 0, 2), t.slice(0, 2, 4), t.slice(0, 2, 4)}, 0);
  }
  full.load_state_dict(state);
  Tensor x = numbers({2, 5, 8}, 1, DType::f32);
  REQUIRE(difference(grouped.forward(x), full.forward(x)) < 1e-5);
  REQUIRE(grouped.k_proj->weight.shape() == Shape{4, 8});
}

TEST_CASE("MultiHeadAttention: RoPE makes scores relative, and decodes where it stands") {
  manual_seed(3);
  MultiHeadAttention a(8, {.heads = 2, .causal = true, .rope = nn::RopeOptions{}});
  a.to(DType::f64);
  Tensor x = numbers({2, 6, 8}, 1);
  Tensor whole = a.forward(x);
  // Padding in front shifts all positions of a row: nothing changes.
  Tensor shifted = concat({zeros({2, 3, 8}, DType::f64), x}, 1);
  Mask mask = Mask::padding({3, 3}, {9, 9});
  REQUIRE(difference(a.forward(shifted, mask).slice(1, 3, 9), whole) < 1e-12);
  // Prompts of 2 and 4 tokens, left-padded to 4, then single tokens.
  auto state = a.new_state(2, 8);
  Tensor prompt =
      concat({concat({zeros({1, 2, 8}, DType::f64), x.slice(0, 0, 1).slice(1, 0, 2)}, 1),
              x.slice(0, 1, 2).slice(1, 0, 4)},
             0);
  Tensor first = a.step(prompt, Mask::padding({2, 0}, {4, 4}), *state);
  REQUIRE(difference(first[0][3], whole[0][1]) < 1e-12);
  REQUIRE(difference(first[1][3], whole[1][3]) < 1e-12);
  Tensor next = concat({x.slice(0, 0, 1).slice(1, 2, 3), x.slice(0, 1, 2).slice(1, 4, 5)}, 0);
  Tensor second = a.step(next, {}, *state);
  REQUIRE(difference(second[0][0], whole[0][2]) < 1e-12);
  REQUIRE(difference(second[1][0], whole[1][4]) < 1e-12);
  REQUIRE_THROWS_SAYING(a.forward(x, x.clone(), x), ValueError, "RoPE rotates self-attention only");
}

TEST_CASE("MultiHeadAttention: dropout on the weights in training only, seeded") {
  MultiHeadAttention a(8, {.heads = 2, .dropout = 0.5});
  Tensor x = numbers({2, 5, 8}, 1, DType::f32);
  manual_seed(5);
  Tensor first = a.forward(x);
  manual_seed(5);
  REQUIRE(a.forward(x).to_vector() == first.to_vector());
  REQUIRE(difference(a.forward(x), first) > 1e-3);
  a.eval();
  REQUIRE(a.forward(x).to_vector() == a.forward(x).to_vector());
  REQUIRE(MultiHeadAttention(8, {.heads = 2, .default_dropout = 0.3}).attention_dropout() == 0.3);
}

TEST_CASE("MultiHeadAttention: norms of queries and keys") {
  manual_seed(6);
  for (bool rope : {false, true}) {
    nn::MultiHeadAttentionConfig config{.heads = 2, .kv_heads = 1, .causal = true, .qk_norm = true};
    if (rope) config.rope = nn::RopeOptions{};
    MultiHeadAttention a(8, config);
    a.to(DType::f64);
    REQUIRE(a.q_norm->weight.shape() == Shape{4});
    nn::StateDict names = a.state_dict();
    REQUIRE(names.count("q_norm.weight") + names.count("k_norm.weight") == 2);
    // However large the tokens, |q . k| / sqrt(D) <= sqrt(D): no weight below e^(-2 sqrt(D)) / T.
    Tensor x = 1e4 * randn({2, 5, 8}, DType::f64);
    for (double w : a.weights(x, x, {}, {4}).to_vector()) REQUIRE(w > std::exp(-4.0) / 5 * 0.999);
    Tensor whole = a.forward(x);
    auto state = a.new_state(2, 5);
    for (int64_t t = 0; t < 5; ++t)
      REQUIRE(difference(a.step(x.slice(1, t, t + 1), {}, *state), whole.slice(1, t, t + 1)) <
              kTolerance);
  }
  MultiHeadAttention shared(8, {.heads = 2, .variant = "lsh", .qk_norm = true});
  REQUIRE(shared.state_dict().count("q_norm.weight") == 1);
  REQUIRE(shared.k_norm == nullptr);
  REQUIRE(shared.forward(randn({1, 3, 8})).shape() == Shape{1, 3, 8});
}

TEST_CASE("MultiHeadAttention: bad input") {
  REQUIRE_THROWS_SAYING(MultiHeadAttention(10, {.heads = 4}), ValueError,
                        "MultiHeadAttention(dense): width 10 does not divide into 4 heads");
  REQUIRE_THROWS_SAYING(MultiHeadAttention(8, {.heads = 0}), ValueError, "heads 0");
  REQUIRE_THROWS_SAYING(MultiHeadAttention(8, {.heads = 4, .kv_heads = 3}), ValueError,
                        "kv_heads must divide");
  REQUIRE_THROWS_SAYING(MultiHeadAttention(8, {.heads = 2, .variant = "densely"}), ValueError,
                        "there are dense");
  REQUIRE_THROWS_SAYING(MultiHeadAttention(8, {.heads = 2, .dropout = 1.5}), ValueError, "1.5");
  REQUIRE_THROWS_SAYING(MultiHeadAttention(6, {.heads = 2, .rope = nn::RopeOptions{}}), ValueError,
                        "even, got 3");
  MultiHeadAttention a(8, {.heads = 2});
  REQUIRE_THROWS_SAYING(a.forward(zeros({2, 5, 7})), ShapeError, "query [B, T, 8] expected");
  REQUIRE_THROWS_SAYING(a.forward(zeros({2, 8})), ShapeError, "query [B, T, 8] expected");
  REQUIRE_THROWS_SAYING(a.forward(zeros({2, 5, 8}), zeros({2, 5, 9}), zeros({2, 5, 8})), ShapeError,
                        "key");
  REQUIRE_THROWS_SAYING(a.forward(zeros({2, 5, 8}), Mask::padding({1, 2, 3})), ShapeError,
                        "3 rows");
  REQUIRE_THROWS_SAYING(a.forward(zeros({2, 5, 8}), Mask::alibi(ones({3}))), ShapeError,
                        "ALiBi slopes [3]");
}

TEST_CASE("PyTorch's names: there and back") {
  nn::StateDict file = golden("state_dict_decoder");
  nn::TransformerDecoder decoder(
      {.layer = {.width = 8, .hidden = 16, .attention = {.heads = 2}}, .layers = 2});
  decoder.load_state_dict(nn::from_pytorch(file, decoder));
  nn::StateDict back = nn::to_pytorch(decoder);
  REQUIRE(back.size() == file.size());
  for (const auto& [name, tensor] : file) {
    INFO(name);
    REQUIRE(back.at(name).to_vector() == tensor.to_vector());
  }
  nn::StateDict wide = golden("mha_cross_kdim");
  MultiHeadAttention a(8, {.heads = 2, .key_width = 6, .value_width = 10});
  a.load_state_dict(nn::from_pytorch(below(wide, "param."), a));
  REQUIRE(nn::to_pytorch(a).at("k_proj_weight").shape() == Shape{8, 6});
  REQUIRE(nn::to_pytorch(a).count("in_proj_weight") == 0);
}

TEST_CASE("PyTorch's names: what has no counterpart is refused") {
  MultiHeadAttention a(8, {.heads = 2}), grouped(8, {.heads = 4, .kv_heads = 2});
  REQUIRE_THROWS_SAYING(nn::from_pytorch({{"bias_k", zeros({1, 1, 8})}}, a), ValueError,
                        "add_bias_kv");
  REQUIRE_THROWS_SAYING(nn::from_pytorch({{"in_proj_weight", zeros({25, 8})}}, a), ValueError,
                        "[25, 8]");
  REQUIRE_THROWS_SAYING(nn::to_pytorch(grouped), ValueError, "2 key heads for 4 heads");
  nn::StateDict state = nn::to_pytorch(a);
  state["surplus"] = zeros({1});
  REQUIRE_THROWS_SAYING(a.load_state_dict(nn::from_pytorch(state, a)), ValueError, "surplus");
}

TEST_CASE("attention recorder: the map of each forward pass, and nothing else changes") {
  manual_seed(3);
  MultiHeadAttention a(8, {.heads = 2, .causal = true, .dropout = 0.5}),
      b(8, {.heads = 2, .variant = "svd:rank=2"});
  Tensor x = numbers({2, 5, 8}, 1, DType::f32);
  Mask mask = Mask::padding({5, 3});
  auto run = [&] {
    manual_seed(9);
    return a.forward(x, mask).to_vector();
  };
  std::vector<double> plain = run();
  nn::AttentionRecorder recorder;
  REQUIRE_FALSE(recorder.weights(a).defined());
  {
    nn::AttentionRecorder inner;
    b.forward(x);
    a.forward(x);
    REQUIRE(inner.weights(a).defined());
    REQUIRE(inner.weights(b).defined() == b.attention().traits().weights);
  }
  REQUIRE_FALSE(recorder.weights(a).defined());  // the inner one heard it
  REQUIRE(run() == plain);
  REQUIRE_FALSE(recorder.weights(a).requires_grad());
  REQUIRE(recorder.weights(a).to_vector() == a.weights(x, x, mask).to_vector());
}
