// Attention in the slots of residual networks: where they are, how they start, every variant of the
// catalogue, and what a pixel attends to.
#include <cmath>

#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/views.h>
#include <heed/models/attention_maps.h>
#include <heed/tests/models/small_resnet.h>

using namespace heed;
using namespace heed::test;

TEST_CASE("resnet slots: are filled from the deepest", "[resnet]") {
  Tensor images = numbers({2, 2, 7, 12}, 1, DType::f32);
  for (int64_t slots = 0; slots <= 3; ++slots) {
    models::ResNet model(small_resnet(slots));
    REQUIRE(model.slots() == slots);
    nn::StateDict names = model.state_dict();
    for (int64_t i = 0; i < 3; ++i)
      REQUIRE(names.count(str("slots.", i, ".g.weight")) == (i < slots ? 1u : 0u));
  }
  models::ResNet model(small_resnet(3));
  const Shape maps[] = {{2, 8, 4, 6}, {2, 4, 7, 12}, {2, 4, 7, 12}};
  for (int64_t i = 0; i < 3; ++i) {
    const Shape& map = maps[i];
    REQUIRE(model.slot_input(images, i).shape() == map);
    REQUIRE(model.slot_extents(i, {7, 12}) == Shape{map[2], map[3]});
    REQUIRE(model.slot(i).w.out() == map[1]);
  }
  REQUIRE_THROWS_SAYING(model.slot(3), ValueError, "slot 3 of 3");
  REQUIRE_THROWS_SAYING(model.slot_extents(-1, {7, 12}), ValueError, "slot -1 of 3");
  REQUIRE_THROWS_SAYING(model.slot_extents(0, {7, 12, 3}), ShapeError, "a size of 2 axes");
  models::ResNetConfig c = small_resnet(2);
  c.stem = "imagenet";
  models::ResNet pooled(c);
  REQUIRE(pooled.slot_extents(0, {57, 64}) == Shape{8, 8});
  REQUIRE(pooled.slot_extents(1, {57, 64}) == Shape{15, 16});
  REQUIRE(pooled.slot_input(zeros({2, 2, 57, 64}), 1).shape() == Shape{2, 4, 15, 16});
  models::ResNet clips(small_clips(2));
  REQUIRE(clips.slot_extents(0, {5, 7, 8}) == Shape{3, 4, 4});
  REQUIRE(clips.slot_extents(1, {5, 7, 8}) == Shape{5, 7, 8});
}

TEST_CASE("resnet slots: start as the identity, and leave the other numbers alone", "[resnet]") {
  const bool clips = GENERATE(false, true);
  Tensor x = numbers(clips ? Shape{2, 2, 3, 4, 5} : Shape{2, 2, 7, 12}, 1, DType::f32);
  auto make = [&](int64_t slots) {
    manual_seed(3);
    return std::make_unique<models::ResNet>(clips ? small_clips(slots) : small_resnet(slots));
  };
  auto without = make(0), with = make(2);
  REQUIRE(with->parameter_count() > without->parameter_count());
  REQUIRE(with->forward(x).to_vector() == without->forward(x).to_vector());
  for (const auto& [name, t] : without->state_dict())
    REQUIRE(with->state_dict().at(name).to_vector() == t.to_vector());
  randomise(*with);
  copy_common(*with, *without);
  REQUIRE(difference(with->forward(x), without->forward(x)) > 1e-3);
}

TEST_CASE("resnet slots: PyTorch's names and shapes, and back", "[resnet]") {
  const bool clips = GENERATE(false, true);
  models::ResNet model(clips ? small_clips(1) : small_resnet(1));
  randomise(model);
  nn::StateDict out = nn::to_pytorch(model);
  REQUIRE(out.size() == model.state_dict().size());
  REQUIRE(out.at("slots.0.theta.weight").shape() ==
          (clips ? Shape{4, 8, 1, 1, 1} : Shape{4, 8, 1, 1}));
  REQUIRE(out.at("slots.0.W.0.bias").shape() == Shape{8});
  REQUIRE(out.count("slots.0.W.1.running_var") == 1);
  REQUIRE(out.at("layer2.0.downsample.0.weight").rank() == (clips ? 5 : 4));
  models::ResNet again(clips ? small_clips(1) : small_resnet(1));
  again.load_state_dict(nn::from_pytorch(out, again));
  for (const auto& [name, t] : model.state_dict())
    REQUIRE(again.state_dict().at(name).to_vector() == t.to_vector());
}

TEST_CASE("resnet slots: every variant of the catalogue, forward and backward", "[resnet]") {
  int64_t refused = 0, run = 0;
  auto check = [&](models::ResNetConfig c, const Shape& images, const std::string& spec) {
    INFO(spec << ", subsample " << c.non_local.subsample);
    c.non_local.attention = spec;
    c.non_local.heads = 2;
    const nn::Traits traits =
        nn::make_attention(
            spec, {.heads = 2, .kv_heads = 2, .head_dim = 4, .value_dim = 4, .max_length = 24})
            ->traits();
    if (c.non_local.subsample > 1 && (!traits.cross || traits.shared_qk)) {
      REQUIRE_THROWS_SAYING(models::ResNet(c), ValueError, "sub-sampling");
      ++refused;
      return;
    }
    models::ResNet model(c);
    randomise(model);
    Tensor x = numbers(images, 1, DType::f32).set_requires_grad(true);
    Tensor loss = cross_entropy(model.forward(x), integers({2, 0}, {2}));
    REQUIRE(std::isfinite(loss.item()));
    loss.backward();
    REQUIRE((all_finite(x.grad()) && !all_zero(x.grad())));
    for (const auto& [name, t] : model.named_parameters()) {
      INFO(name);
      REQUIRE((t.grad().defined() && all_finite(t.grad())));
    }
    ++run;
  };
  for (const nn::AttentionEntry& entry : nn::attention_catalog()) {
    std::vector<std::string> specs = {entry.name};
    for (const std::string& options : entry.checked) specs.push_back(entry.name + ":" + options);
    for (const std::string& spec : specs)
      for (int64_t subsample : {1, 2}) {
        models::ResNetConfig c = small_resnet(1);
        c.image_height = 7, c.image_width = 12;
        c.non_local.subsample = subsample;
        check(c, {2, 2, 7, 12}, spec);
      }
    models::ResNetConfig clips = small_clips(1);
    clips.frames = 3, clips.image_height = 4, clips.image_width = 6;
    check(clips, {2, 2, 3, 4, 6}, entry.name);
  }
  REQUIRE(refused >= 2);
  REQUIRE(run >= 60);
  // Learned projections need to know the size of the pictures.
  models::ResNetConfig c = small_resnet(1);
  c.non_local.attention = "linformer";
  REQUIRE_THROWS_SAYING(models::ResNet(c), ValueError, "max_length");
  c.image_height = 7, c.image_width = 12;
  models::ResNet model(c);
  model.forward(zeros({2, 2, 5, 12}));  // smaller ones are fine
  REQUIRE_THROWS_SAYING(model.forward(zeros({2, 2, 9, 12})), ValueError, "30");
}

TEST_CASE("resnet slots: what a pixel attends to", "[resnet]") {
  models::ResNetConfig c = small_resnet(2);
  c.non_local.heads = 2;
  c.non_local.subsample = GENERATE(1, 2);
  models::ResNet model(c);
  randomise(model);
  Tensor images = numbers({2, 2, 7, 12}, 1, DType::f32);
  REQUIRE_THROWS_SAYING(models::slot_weights(model, images, 0, {0}), ValueError, "training mode");
  model.eval();
  for (int64_t slot : {0, 1}) {
    const Shape map = slot == 0 ? Shape{4, 6} : Shape{7, 12};
    const int64_t f = c.non_local.subsample, rows = map[0] / f, columns = map[1] / f;
    models::SlotWeights found = models::slot_weights(model, images, slot, {0, 9});
    REQUIRE(found.map == map);
    REQUIRE(found.weights.shape() == Shape{2, 2, 2, rows, columns});
    Tensor expected = model.slot(slot).weights(model.slot_input(images, slot), {9});
    for (int64_t b = 0; b < 2; ++b)
      for (int64_t h = 0; h < 2; ++h) {
        double total = 0;
        for (double w : found.weights[b][h][1].to_vector()) total += w;
        REQUIRE(total == Approx(1).epsilon(1e-5));
        REQUIRE(found.weights[b][h][1][1][2].item() == expected[b][h][0][columns + 2].item());
      }
    REQUIRE_THROWS_AS(models::slot_weights(model, images, slot, {map.numel()}), ValueError);
  }
  REQUIRE_THROWS_SAYING(models::slot_weights(model, images, 2, {0}), ValueError, "slot 2 of 2");

  REQUIRE(models::slot_position(model, 0, {7, 12}, {0, 0}) == 0);
  REQUIRE(models::slot_position(model, 0, {7, 12}, {6, 11}) == 23);
  REQUIRE(models::slot_position(model, 0, {7, 12}, {2, 5}) == 1 * 6 + 2);
  REQUIRE(models::slot_position(model, 1, {7, 12}, {2, 5}) == 2 * 12 + 5);
  for (const Shape& pixel : {Shape{7, 0}, Shape{0, -1}, Shape{3}})
    REQUIRE_THROWS_SAYING(models::slot_position(model, 0, {7, 12}, pixel), ValueError,
                          str("pixel ", pixel, " of a picture [7, 12]"));

  models::ResNet clips(small_clips(1));
  clips.eval();
  models::SlotWeights found = models::slot_weights(clips, zeros({1, 2, 5, 7, 8}), 0, {40});
  REQUIRE((found.map == Shape{3, 4, 4} && found.weights.shape() == Shape{1, 1, 1, 3, 4, 4}));
}
