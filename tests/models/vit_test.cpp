// The vision transformer: tokens, settings, every variant. Its golden tests: vit_golden_test.cpp.
#include <heed/models/vit.h>

#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/models/attention_maps.h>
#include <heed/models/config_json.h>
#include <heed/nn/init.h>
#include <heed/tests/models/small_models.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;

namespace {

models::ViTConfig small_vit() {
  models::ViTConfig c;
  c.image_height = 8, c.image_width = 12;
  c.channels = 2, c.patch = 4, c.classes = 3;
  c.stack.layer.width = 16;
  c.stack.layer.attention.heads = 2;
  c.stack.layers = 2;
  return c;
}

// A head of zeros, as at the start, would hide everything before it.
void randomise(nn::Module& model) {
  for (const auto& [name, t] : model.named_parameters()) nn::init::normal_(t, 0, 0.3);
}

}  // namespace

TEST_CASE("vit: parameters, and how it starts", "[vit]") {
  models::ViTConfig base = models::vit_preset("base");
  base.classes = 1000;
  REQUIRE(models::ViT(base).parameter_count() == 86567656);  // torchvision's vit_b_16

  manual_seed(3);
  models::ViT model(small_vit());
  Tensor images = numbers({4, 2, 8, 12}, 1, DType::f32);
  Tensor logits = model.forward(images);
  REQUIRE(logits.shape() == Shape{4, 3});
  REQUIRE(all_zero(logits));
  REQUIRE(cross_entropy(logits, integers({0, 1, 2, 0}, {4})).item() == Approx(std::log(3)));
  REQUIRE_FALSE(all_zero(model.states(images)));
}

TEST_CASE("vit: what the head reads, and which tokens there are", "[vit]") {
  std::string pooling = GENERATE("class_token", "mean");
  std::string positions = GENERATE("learned", "sinusoidal", "rope", "none");
  INFO(pooling << ", " << positions);
  models::ViTConfig c = small_vit();
  c.pooling = pooling, c.positions = positions;
  models::ViT model(c);
  model.to(DType::f64);
  randomise(model);
  bool token = pooling == "class_token";
  REQUIRE((model.tokens() == (token ? 7 : 6) && model.first_patch() == (token ? 1 : 0)));
  nn::StateDict names = model.state_dict();
  REQUIRE(names.count("class_token") == (token ? 1u : 0u));
  REQUIRE(names.count("positions") == (positions == "learned" ? 1u : 0u));
  REQUIRE(names.count("sinusoids") == 0);

  Tensor images = numbers({2, 2, 8, 12}, 1);
  Tensor states = model.states(images);
  REQUIRE(states.shape() == Shape{2, model.tokens(), 16});
  Tensor read = token ? select(states, 1, 0) : mean(states, {1});
  Tensor expected = matmul(read, names.at("head.weight").transpose(0, 1)) + names.at("head.bias");
  REQUIRE(difference(model.forward(images), expected) < 1e-13);

  // Two patches change places: only without positions is the result the same.
  auto patch = [&](int64_t row, int64_t column) {
    return images.slice(2, 4 * row, 4 * row + 4).slice(3, 4 * column, 4 * column + 4);
  };
  Tensor moved = concat({concat({patch(1, 2), patch(0, 1), patch(0, 2)}, 3),
                         concat({patch(1, 0), patch(1, 1), patch(0, 0)}, 3)},
                        2);
  double change = difference(model.forward(moved), model.forward(images));
  if (positions == "none") REQUIRE(change < 1e-12);
  else REQUIRE(change > 1e-3);
}

TEST_CASE("vit: sinusoids are those of the grid; the class token has none", "[vit]") {
  models::ViTConfig c = small_vit();
  c.positions = "sinusoidal";
  c.stack.layers = 1;
  models::ViT with(c);
  c.positions = "none";
  models::ViT without(c);
  with.to(DType::f64);
  without.to(DType::f64);
  randomise(with);
  without.load_state_dict(with.state_dict());
  // Of a black picture each patch is the bias alone.
  Tensor x = without.encoder().forward(
      concat({without.state_dict().at("class_token"),
              nn::sinusoidal_grid(2, 3, 16, {.dtype = DType::f64}).unsqueeze(0) +
                  without.state_dict().at("patches.bias")},
             1));
  REQUIRE(difference(with.states(zeros({1, 2, 8, 12}, DType::f64)), x) < 1e-13);
}

TEST_CASE("vit: RoPE turns by row and column, and leaves the class token as it is", "[vit]") {
  models::ViTConfig c = small_vit();
  c.positions = "rope";
  models::ViT model(c);
  const nn::RopeOptions& rope = *model.encoder().layer(1).self_attn.config().rope;
  REQUIRE((rope.grid == Shape{2, 3} && rope.unrotated == 1 && rope.base == 100));
  c.pooling = "mean";
  models::ViT mean(c);
  REQUIRE(mean.encoder().layer(0).self_attn.config().rope->unrotated == 0);
  c.stack.layer.width = 12;  // heads of 6 channels: 3 pairs
  REQUIRE_THROWS_SAYING(models::ViT(c), ValueError, "a multiple of 4, got 6");
}

TEST_CASE("vit: every variant of the catalogue, forward and backward", "[vit]") {
  for (const nn::AttentionEntry& entry : nn::attention_catalog()) {
    std::vector<std::string> specs = {entry.name};
    for (const std::string& options : entry.checked) specs.push_back(entry.name + ":" + options);
    for (const std::string& spec : specs) {
      INFO(spec);
      models::ViTConfig c = small_vit();
      c.pooling = entry.name == "linformer" ? "mean" : "class_token";
      c.stack.layer.attention.variant = spec;
      c.stack.layer.dropout = 0.1;
      models::ViT model(c);
      randomise(model);
      Tensor images = numbers({2, 2, 8, 12}, 1, DType::f32).set_requires_grad(true);
      Tensor loss = cross_entropy(model.forward(images), integers({2, 0}, {2}));
      REQUIRE(std::isfinite(loss.item()));
      loss.backward();
      REQUIRE((all_finite(images.grad()) && !all_zero(images.grad())));
      for (const auto& [name, t] : model.named_parameters()) {
        INFO(name);
        REQUIRE((t.grad().defined() && all_finite(t.grad())));
      }
    }
  }
}

TEST_CASE("vit: overfits one batch", "[vit]") {
  std::string positions = GENERATE("learned", "sinusoidal", "rope");
  manual_seed(5);
  models::ViTConfig c = small_vit();
  c.positions = positions;
  c.pooling = positions == "rope" ? "mean" : "class_token";
  models::ViT model(c);
  Tensor images = numbers({9, 2, 8, 12}, 7, DType::f32);
  Tensor labels = integers({0, 1, 2, 2, 1, 0, 0, 2, 1}, {9});
  auto loss = [&] { return cross_entropy(model.forward(images), labels); };
  REQUIRE(loss().item() > 1);
  REQUIRE(overfit(model, 100, 5e-3, loss) < 0.01);
}

TEST_CASE("vit: what the class token attends to", "[vit]") {
  models::ViT model(small_vit());
  randomise(model);
  Tensor images = numbers({2, 2, 8, 12}, 1, DType::f32);
  REQUIRE_THROWS_SAYING(models::attention_maps(model, images), ValueError, "training mode");
  model.eval();
  std::vector<Tensor> maps = models::attention_maps(model, images);
  REQUIRE((maps.size() == 2 && maps[1].shape() == Shape{2, 2, 7, 7}));
  Tensor seen = models::patch_weights(model, maps[1], 0);
  REQUIRE(seen.shape() == Shape{2, 2, 2, 3});
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t h = 0; h < 2; ++h) {
      REQUIRE(seen[b][h][1][2].item() == maps[1][b][h][0][6].item());
      double total = maps[1][b][h][0][0].item();  // itself
      for (double w : seen[b][h].to_vector()) total += w;
      REQUIRE(total == Approx(1).epsilon(1e-5));
    }
  Tensor of_patch = models::patch_weights(model, maps[0], model.first_patch() + 4);
  REQUIRE(of_patch[1][0][0][1].item() == maps[0][1][0][5][2].item());
  REQUIRE_THROWS_SAYING(models::patch_weights(model, maps[0], 7), ValueError, "token 7 of 7");
  REQUIRE_THROWS_AS(models::patch_weights(model, zeros({1, 1, 6, 6}), 0), ShapeError);
}

TEST_CASE("vit: settings as JSON, there and back", "[vit]") {
  models::ViTConfig c = small_vit();
  c.pooling = "mean", c.positions = "rope", c.rope_base = 50;
  c.stack.layer.attention.qk_norm = true;
  c.stack.layer.attention.variant = "window:left=3,right=3";
  c.stack.layer.dropout = 0.25;
  c.stack.recompute = true;
  models::ViT model(c);
  std::string json = models::to_json(model.config());
  REQUIRE(models::config_model(json) == "vit");
  models::ViTConfig d = models::vit_from_json(json);
  REQUIRE(models::to_json(d) == json);
  REQUIRE((d.image_height == 8 && d.image_width == 12 && d.channels == 2 && d.classes == 3));
  REQUIRE((d.pooling == "mean" && d.positions == "rope" && d.rope_base == 50));
  REQUIRE((d.stack.layer.norm_eps == 1e-6 && d.stack.layer.attention.qk_norm));
  models::ViT again(d);
  again.load_state_dict(model.state_dict());
  model.eval();
  again.eval();
  Tensor images = numbers({2, 2, 8, 12}, 1, DType::f32);
  REQUIRE(again.states(images).to_vector() == model.states(images).to_vector());

  c.stack.positions = nn::PositionTerm::alibi;
  REQUIRE_THROWS_SAYING(models::to_json(c), ValueError, "keeps no positions");
  REQUIRE_THROWS_SAYING(models::vit_from_json(R"({"model": "vit"})"), ValueError,
                        "\"image_height\" is missing");
}

TEST_CASE("vit: bad settings and pictures are refused at once", "[vit]") {
  auto refuses = [](auto change, const std::string& part) {
    models::ViTConfig c = small_vit();
    change(c);
    REQUIRE_THROWS_SAYING(models::ViT(c), ValueError, part);
  };
  using C = models::ViTConfig;
  refuses([](C& c) { c.classes = 0; }, "classes > 0 expected, got 0");
  refuses([](C& c) { c.image_height = 0; }, "pictures of 2 x 0 x 12");
  refuses([](C& c) { c.patch = -1; }, "patches of -1");
  refuses([](C& c) { c.pooling = "max"; }, "pooling 'max': class_token or mean");
  refuses([](C& c) { c.positions = "rotary"; }, "positions 'rotary': learned, sinusoidal, rope");
  refuses([](C& c) { c.stack.layer.attention.heads = 3; }, "not a multiple of 3 heads");
  refuses([](C& c) { c.stack.layers = 0; }, "layers > 0");
  refuses([](C& c) { c.stack.layer.dropout = 1; }, "0 <= dropout < 1");
  refuses([](C& c) { c.stack.layer.attention.dropout = -1; }, "attention dropout");
  refuses([](C& c) { c.stack.layer.attention.causal = true; }, "patches have no order");
  refuses([](C& c) { c.stack.layer.attention.rope = nn::RopeOptions{}; }, "for the model to set");
  refuses([](C& c) { c.stack.layer.attention.variant = "nonesuch"; }, "nonesuch");
  refuses([](C& c) { c.positions = "sinusoidal", c.stack.layer.width = 18; }, "width 18");
  refuses([](C& c) { c.positions = "rope", c.rope_base = 0; }, "base must be positive");
  REQUIRE_THROWS_SAYING(models::vit_preset("huge"), ValueError, "nano, tiny, small, base or large");

  models::ViTConfig c = small_vit();
  c.image_width = 13;
  REQUIRE_THROWS_SAYING(models::ViT(c), ShapeError,
                        "8 x 13 (height x width) does not divide into patches of 4 x 4; crop it to "
                        "8 x 12");
  c.image_width = 3;
  REQUIRE_THROWS_SAYING(models::ViT(c), ShapeError, "8 x 3 (height x width) is smaller than a");
  models::ViT model(small_vit());
  for (const Shape& shape : {Shape{1, 2, 12, 8}, Shape{1, 3, 8, 12}, Shape{2, 8, 12}})
    REQUIRE_THROWS_SAYING(model.forward(zeros(shape)), ShapeError,
                          str("images [B, 2, 8, 12] expected, got ", shape));
  REQUIRE(model.forward(zeros({0, 2, 8, 12})).shape() == Shape{0, 3});
}
