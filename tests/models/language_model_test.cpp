#include <cmath>
#include <set>

#include <heed/autograd/ops/losses.h>
#include <heed/data/safetensors.h>
#include <heed/models/language_model.h>
#include <heed/models/sample.h>
#include <heed/tests/models/small_models.h>

using namespace heed;
using namespace heed::test;

namespace {
models::LanguageModelConfig small_lm() {
  models::LanguageModelConfig c;
  c.vocab = 17;
  c.context = 8;
  c.stack.layer.width = 8;
  c.stack.layer.attention.heads = 2;
  c.stack.layers = 2;
  c.stack.layer.dropout = 0;
  return c;
}

// GPT-2's names in the golden file as ours; c_attn holds q, k and v.
nn::StateDict from_gpt2(const data::SafeTensors& file, const std::string& prefix) {
  nn::StateDict state;
  auto get = [&](const std::string& name) { return Tensor(file.at(prefix + name)); };
  state["wte.weight"] = get("wte.weight");
  state["wpe.weight"] = get("wpe.weight");
  for (const char* kind : {".weight", ".bias"}) {
    state[std::string("h.norm") + kind] = get(std::string("ln_f") + kind);
    for (int i = 0; i < 2; ++i) {
      std::string theirs = "h." + std::to_string(i) + ".",
                  ours = "h.layers." + std::to_string(i) + ".";
      state[ours + "norm1" + kind] = get(theirs + "ln_1" + kind);
      state[ours + "norm2" + kind] = get(theirs + "ln_2" + kind);
      state[ours + "self_attn.out_proj" + kind] = get(theirs + "attn.c_proj" + kind);
      state[ours + "linear1" + kind] = get(theirs + "mlp.c_fc" + kind);
      state[ours + "linear2" + kind] = get(theirs + "mlp.c_proj" + kind);
      Tensor packed = get(theirs + "attn.c_attn" + kind);
      const char* names[] = {"q_proj", "k_proj", "v_proj"};
      for (int j = 0; j < 3; ++j)
        state[ours + "self_attn." + names[j] + kind] = packed.slice(0, 8 * j, 8 * j + 8);
    }
  }
  return state;
}
}  // namespace

TEST_CASE("language model: logits, loss and gradients of GPT-2's layout in PyTorch") {
  auto file =
      data::read_safetensors(std::string(HEED_SOURCE_DIR) + "/tests/golden/gpt2_tiny.safetensors");
  models::LanguageModel model(small_lm());
  model.to(DType::f64);
  model.load_state_dict(from_gpt2(file, "param."));
  Tensor ids(file.at("ids")), targets(file.at("targets"));
  REQUIRE(largest_difference(model.logits(model.forward(ids)), Tensor(file.at("logits"))) < 1e-10);
  Tensor loss = model.loss(ids, targets);
  REQUIRE(loss.item() == Approx(Tensor(file.at("loss")).item()).epsilon(1e-12));
  loss.backward();
  nn::StateDict gradients = from_gpt2(file, "grad.param.");
  for (const auto& [name, parameter] : model.named_parameters()) {
    INFO(name);
    REQUIRE(largest_difference(parameter.grad(), gradients.at(name)) < 1e-10);
  }
}

TEST_CASE("language model: the small preset is GPT-2's 124 M") {
  models::LanguageModelConfig c = models::language_model_preset("small");
  // Counted, not built: 124 M floats are too many for a test.
  int64_t vocab = 50257, d = c.stack.layer.width, layer = 12 * d * d + 13 * d;
  REQUIRE(vocab * d + c.context * d + c.stack.layers * layer + 2 * d == 124439808);
  models::LanguageModelConfig s = small_lm();
  int64_t expected = 17 * 8 + 8 * 8 + 2 * (12 * 64 + 13 * 8) + 16;
  REQUIRE(models::LanguageModel(s).parameter_count() == expected);
  REQUIRE_THROWS_SAYING(models::language_model_preset("tiny"), ValueError, "nano, mini, small");
}

TEST_CASE("language model: overfits one batch") {
  manual_seed(1);
  models::LanguageModelConfig c = small_lm();
  c.stack.layer.width = 32;
  models::LanguageModel model(c);
  Tensor ids = integers({3, 5, 7, 9, 11, 13, 15, 1, 2, 4, 6, 8, 10, 12, 14, 16}, {2, 8});
  Tensor targets = integers({5, 7, 9, 11, 13, 15, 1, 3, 4, 6, 8, 10, 12, 14, 16, 2}, {2, 8});
  REQUIRE(overfit(model, 150, 1e-2, [&] { return model.loss(ids, targets); }) < 0.01);
  // What it has learned it also writes.
  REQUIRE(models::generate(model, {3}, {.max_tokens = 6, .temperature = 0}) ==
          std::vector<int64_t>{5, 7, 9, 11, 13, 15});
}

TEST_CASE("language model: decoding with a cache equals the whole sequence at once") {
  manual_seed(6);
  models::LanguageModel model(small_lm());
  model.eval();
  NoGrad guard;
  Tensor ids = integers({1, 2, 3, 4, 5, 6, 7, 8, 16, 15, 14, 13, 12, 11, 10, 9}, {2, 8});
  Tensor whole = model.logits(model.forward(ids));        // [B, T, V]
  auto decoding = model.start({.prompts = {{1}, {16}}});  // as many rows as prompts
  Tensor prompt = decoding->step(ids.slice(1, 0, 3));
  REQUIRE(largest_difference(prompt, whole.slice(1, 2, 3).squeeze(1)) < 1e-5);
  for (int64_t t = 3; t < 8; ++t)
    REQUIRE(largest_difference(decoding->step(ids.slice(1, t, t + 1)),
                               whole.slice(1, t, t + 1).squeeze(1)) < 1e-5);
}

TEST_CASE("language model: generating is seeded, stops, and goes beyond its context") {
  manual_seed(6);
  models::LanguageModel model(small_lm());
  model.eval();
  auto write = [&](uint64_t seed, int64_t count) {
    return models::generate(model, {1, 2}, {.max_tokens = count, .seed = seed});
  };
  REQUIRE(write(1, 30).size() == 30);
  REQUIRE(write(1, 30) == write(1, 30));
  REQUIRE(write(1, 30) != write(2, 30));
  std::vector<int64_t> long_prompt(20, 3);
  REQUIRE(models::generate(model, long_prompt, {.max_tokens = 5}).size() == 5);
  std::vector<int64_t> heard,
      made = models::generate(model, {1}, {.max_tokens = 4, .on_token = [&](int64_t, int64_t t) {
                                             heard.push_back(t);
                                           }});
  REQUIRE(heard == made);
  int64_t stop = made[2];
  REQUIRE(models::generate(model, {1}, {.max_tokens = 4, .stop = stop}).size() <= 2);
}

TEST_CASE("sampling: temperature, top-k and top-p keep what they should") {
  std::vector<double> logits = {std::log(0.1), std::log(0.5), std::log(0.15), std::log(0.25)};
  auto reached = [&](const models::SampleOptions& options) {
    std::set<int64_t> ids;
    for (int i = 0; i < 1000; ++i) ids.insert(models::sample_token(logits, options, i / 1000.0));
    return ids;
  };
  using Ids = std::set<int64_t>;
  REQUIRE(reached({}) == Ids{0, 1, 2, 3});
  REQUIRE(reached({.temperature = 0}) == Ids{1});
  REQUIRE(reached({.top_k = 2}) == Ids{1, 3});
  REQUIRE(reached({.top_k = 99}) == Ids{0, 1, 2, 3});
  REQUIRE(reached({.top_p = 0.6}) == Ids{1, 3});
  REQUIRE(reached({.top_p = 0.01}) == Ids{1});
  // Frequencies are the probabilities; a temperature of 1/2 squares them.
  int count = 0, cold = 0;
  for (int i = 0; i < 10000; ++i) {
    count += models::sample_token(logits, {}, i / 10000.0) == 3;
    cold += models::sample_token(logits, {.temperature = 0.5}, i / 10000.0) == 3;
  }
  REQUIRE(count == Approx(2500).margin(2));
  REQUIRE(cold == Approx(10000 * 0.0625 / 0.345).margin(2));
}

TEST_CASE("language model: bad settings and calls") {
  models::LanguageModelConfig c = small_lm();
  c.stack.layer.attention.heads = 3;
  REQUIRE_THROWS_SAYING(models::LanguageModel(c), ValueError, "not a multiple of 3 heads");
  c = small_lm();
  c.context = 1;
  REQUIRE_THROWS_SAYING(models::LanguageModel(c), ValueError, "context > 1");
  models::LanguageModel model(small_lm());
  REQUIRE_THROWS_AS(model.forward(zeros({1, 9}, DType::i64)), ShapeError);
  REQUIRE_THROWS_SAYING(models::generate(model, {1}, {}), ValueError, "training mode");
  model.eval();
  REQUIRE_THROWS_SAYING(models::generate(model, {}, {}), ValueError, "prompt");
  REQUIRE_THROWS_SAYING(models::generate(model, {1}, {.temperature = -1}), ValueError,
                        "temperature");
  REQUIRE_THROWS_SAYING(models::generate(model, {1}, {.top_p = 0}), ValueError, "top_p");
  REQUIRE_THROWS_AS(models::generate(model, {17}, {}), ValueError);
  std::string json = models::to_json(model.config());
  REQUIRE(models::to_json(models::language_model_from_json(json)) == json);
}
