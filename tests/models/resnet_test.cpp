// Residual networks: sizes, start, training, settings, what is refused. Golden tests are in
// resnet_golden_test.cpp, attention in the slots in resnet_slots_test.cpp.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/models/config_json.h>
#include <heed/tests/models/small_resnet.h>

using namespace heed;
using namespace heed::test;

TEST_CASE("resnet: presets", "[resnet]") {
  auto count = [](const std::string& name, int64_t classes) {
    models::ResNetConfig c = models::resnet_preset(name);
    c.classes = classes;
    return models::ResNet(c).parameter_count();
  };
  // He et al. 2016, table 6: 0.27 M (269,722 with shortcuts without parameters; two of them have a
  // convolution and a norm here: 16 x 32 + 64 and 32 x 64 + 128)
  REQUIRE(count("resnet20", 10) == 269722 + 576 + 2176);
  REQUIRE(count("resnet3d", 4) < 300000);
  for (const std::string& name : models::resnet_presets()) models::resnet_preset(name);
  REQUIRE_THROWS_SAYING(models::resnet_preset("resnet50"), ValueError,
                        "preset 'resnet50': resnet20, resnet18 or resnet3d expected");
  models::ResNetConfig c = models::resnet_preset("resnet3d");
  c.classes = 4;
  REQUIRE(models::ResNet(c).forward(zeros({2, 3, 8, 16, 16})).shape() == Shape{2, 4});
}

TEST_CASE("resnet: convolutions start with the variance of torchvision's", "[resnet]") {
  manual_seed(4);
  models::ResNetConfig c = models::resnet_preset("resnet20");
  c.classes = 10;
  models::ResNet model(c);
  int64_t seen = 0;
  for (const auto& [name, t] : model.named_parameters()) {
    if (t.rank() != 4 || t.numel() < 4000) continue;
    INFO(name);
    double squares = 0;
    for (double x : t.to_vector()) squares += x * x;
    const double fan_out = static_cast<double>(t.dim(0) * t.dim(2) * t.dim(3));
    REQUIRE(squares / static_cast<double>(t.numel()) == Approx(2 / fan_out).epsilon(0.1));
    ++seen;
  }
  REQUIRE(seen == 12);
}

TEST_CASE("resnet: maps of any size", "[resnet]") {
  models::ResNet model(small_resnet());
  auto map_of = [&](const Shape& images) {
    Tensor x = numbers(images, 1, DType::f32);
    REQUIRE(model.forward(x).shape() == Shape{images[0], 3});
    return model.features(x).shape();
  };
  REQUIRE(map_of({2, 2, 7, 12}) == Shape{2, 8, 4, 6});
  REQUIRE(map_of({1, 2, 5, 3}) == Shape{1, 8, 3, 2});
  REQUIRE(map_of({4, 2, 1, 1}) == Shape{4, 8, 1, 1});
  // One value a channel: nothing to normalise by, unless by the running statistics.
  REQUIRE_THROWS_SAYING(model.forward(zeros({1, 2, 1, 1})), ValueError,
                        "more than 1 value per channel");
  model.eval();
  REQUIRE(map_of({1, 2, 1, 1}) == Shape{1, 8, 1, 1});
  REQUIRE(map_of({0, 2, 7, 12}) == Shape{0, 8, 4, 6});

  models::ResNetConfig c = small_resnet();
  c.strides = {1, 1};
  REQUIRE(models::ResNet(c).features(zeros({2, 2, 7, 5})).shape() == Shape{2, 8, 7, 5});
  c.stem = "imagenet";
  REQUIRE(models::ResNet(c).features(zeros({2, 2, 21, 32})).shape() == Shape{2, 8, 6, 8});
  c.strides = {2, 3};
  REQUIRE(models::ResNet(c).features(zeros({2, 2, 57, 64})).shape() == Shape{2, 8, 3, 3});

  models::ResNet clips(small_clips());
  REQUIRE(clips.features(zeros({2, 2, 5, 7, 8})).shape() == Shape{2, 8, 3, 4, 4});
}

TEST_CASE("resnet: with a time kernel of 1 each frame is a picture of its own", "[resnet]") {
  models::ResNetConfig c = small_clips(1), flat = small_clips(0);
  c.time_kernel = 1;
  flat.axes = 2;
  models::ResNet clips(c), pictures(flat);
  randomise(clips);
  clips.eval();
  pictures.eval();
  nn::StateDict weights = pictures.state_dict();
  for (const auto& [name, value] : clips.state_dict())
    if (weights.count(name)) weights[name] = value.rank() == 5 ? value.squeeze(2) : value;
  pictures.load_state_dict(weights);
  Tensor x = numbers({2, 2, 5, 7, 8}, 1, DType::f64);
  clips.to(DType::f64);
  pictures.to(DType::f64);
  Tensor maps = clips.slot_input(x, 0);
  REQUIRE(maps.shape() == Shape{2, 8, 5, 4, 4});
  REQUIRE(clips.slot_extents(0, {5, 7, 8}) == Shape{5, 4, 4});
  for (int64_t frame = 0; frame < 5; ++frame) {
    Tensor alone = pictures.features(heed::select(x, 2, frame));
    Tensor difference = abs(alone - heed::select(maps, 2, frame));
    REQUIRE(sum(difference).item() < 1e-12);
  }
}

TEST_CASE("resnet: the same seed, the same training", "[resnet]") {
  auto trained = [](bool clips) {
    manual_seed(8);
    models::ResNet model(clips ? small_clips(1) : small_resnet(2));
    Tensor x = numbers(clips ? Shape{6, 2, 3, 5, 6} : Shape{6, 2, 7, 12}, 7, DType::f32);
    Tensor labels = integers({0, 1, 2, 2, 1, 0}, {6});
    auto loss = [&] { return cross_entropy(model.forward(x), labels); };
    std::vector<double> values = {loss().item()};
    values.push_back(overfit(model, 60, 1e-2, loss));
    REQUIRE(values[0] > 0.5);
    REQUIRE(values[1] < 0.02);
    for (double logit : model.forward(x).to_vector()) values.push_back(logit);  // in evaluation
    return values;
  };
  const bool clips = GENERATE(false, true);
  REQUIRE(trained(clips) == trained(clips));
}

TEST_CASE("resnet: recomputing changes neither gradients nor statistics", "[resnet]") {
  const std::string attention = GENERATE("embedded_gaussian", "lsh:chunk=4,buckets=2", "performer");
  auto result = [&](bool recompute) {
    manual_seed(2);
    models::ResNetConfig c = small_resnet(3);
    c.non_local.attention = attention;
    c.recompute = recompute;
    models::ResNet model(c);
    randomise(model);
    cross_entropy(model.forward(numbers({2, 2, 7, 12}, 1, DType::f32)), integers({2, 0}, {2}))
        .backward();
    std::vector<double> all;
    for (const auto& [name, t] : model.named_parameters())
      for (double x : t.grad().to_vector()) all.push_back(x);
    for (const auto& [name, t] : model.named_buffers())
      for (double x : t.to_vector()) all.push_back(x);
    return all;
  };
  REQUIRE(result(true) == result(false));
}

TEST_CASE("resnet: bf16 is f32, rounded", "[resnet]") {
  manual_seed(6);
  models::ResNetConfig c = small_resnet(2);
  models::ResNet narrow(c), wide(c);
  randomise(narrow);
  narrow.to(DType::bf16);
  wide.load_state_dict(narrow.state_dict());
  Tensor x = randn({4, 2, 7, 12}, DType::bf16), labels = integers({0, 2, 1, 1}, {4});
  Tensor loss = cross_entropy(narrow.forward(x), labels);
  Tensor expected = cross_entropy(wide.forward(x.to(DType::f32)), labels);
  REQUIRE(loss.item() == Approx(expected.item()).epsilon(0.03));
  loss.backward();
  for (const auto& [name, t] : narrow.named_parameters()) {
    INFO(name);
    REQUIRE((t.grad().dtype() == DType::bf16 && all_finite(t.grad())));
  }
  for (const auto& [name, t] : narrow.named_buffers())
    REQUIRE(t.dtype() == (name.ends_with("tracked") ? DType::i64 : DType::f32));
}

TEST_CASE("resnet: settings as JSON, there and back", "[resnet]") {
  models::ResNetConfig c = small_resnet(2);
  c.non_local = {.attention = "window:left=3,right=3",
                 .heads = 2,
                 .inner_channels = 6,
                 .batch_norm = false,
                 .bias = false};
  c.image_height = 7, c.image_width = 12;
  c.recompute = true;
  {
    models::ResNetConfig clip = small_clips();
    clip.time_kernel = 1;
    REQUIRE(models::resnet_from_json(models::to_json(clip)).time_kernel == 1);
  }
  models::ResNet model(c);
  randomise(model);
  const std::string json = models::to_json(model.config());
  REQUIRE(models::config_model(json) == "resnet");
  models::ResNetConfig d = models::resnet_from_json(json);
  REQUIRE(models::to_json(d) == json);
  REQUIRE((d.axes == 2 && d.channels == 2 && d.classes == 3 && d.width == 4 && d.slots == 2));
  REQUIRE((d.blocks == c.blocks && d.strides == c.strides && d.stem == "cifar" && d.recompute));
  REQUIRE((d.image_height == 7 && d.image_width == 12 && d.frames == 0));
  REQUIRE((d.non_local.attention == "window:left=3,right=3" && d.non_local.heads == 2));
  REQUIRE((d.non_local.inner_channels == 6 && d.non_local.subsample == 1));
  REQUIRE((!d.non_local.batch_norm && !d.non_local.bias));
  models::ResNet again(d);
  again.load_state_dict(model.state_dict());
  model.eval();
  again.eval();
  Tensor images = numbers({2, 2, 7, 12}, 1, DType::f32);
  REQUIRE(again.forward(images).to_vector() == model.forward(images).to_vector());

  c.non_local.scale = 0.5f;
  REQUIRE_THROWS_SAYING(models::to_json(c), ValueError, "keeps no scale");
  auto refuses = [&](const std::string& was, const std::string& is, const std::string& part) {
    std::string text = json;
    REQUIRE(text.find(was) != std::string::npos);
    text.replace(text.find(was), was.size(), is);
    REQUIRE_THROWS_SAYING(models::resnet_from_json(text), ValueError, part);
  };
  refuses("\"resnet\"", "\"vit\"", "model 'resnet' expected, this is one of 'vit'");
  refuses("\"stem\"", "\"stalk\"", "\"stem\" is missing");
  refuses("\"axes\"", "\"depth\": 3, \"axes\"", "resnet has no setting \"depth\"");
  refuses("\"width\": 4", "\"width\": \"4\"", "width: an integer expected, got \"4\"");
  refuses("\"width\": 4", "\"width\": 4.5", "width: an integer expected, got 4.5");
  refuses("\"slots\": 2", "\"slots\": null", "slots: an integer expected");
  refuses("\"blocks\": [", "\"blocks\": 3, \"a\": [", "no setting \"a\"");
  refuses("\"blocks\": [", "\"blocks\": [1.5,",
          "blocks: a list of integers expected, got [1.5,2,1]");
  refuses("\"strides\": [", "\"strides\": [\"1\",", "strides: a list of integers expected");
}

TEST_CASE("resnet: bad settings and pictures are refused at once", "[resnet]") {
  auto refuses = [](auto change, const std::string& part) {
    models::ResNetConfig c = small_resnet(1);
    change(c);
    REQUIRE_THROWS_SAYING(models::ResNet(c), ValueError, part);
  };
  using C = models::ResNetConfig;
  refuses([](C& c) { c.axes = 1; }, "2 axes (pictures) or 3 (clips");
  refuses([](C& c) { c.classes = 0; }, "classes > 0 expected, got 0");
  refuses([](C& c) { c.channels = 0; }, "channels and width > 0 expected, got 0 and 4");
  refuses([](C& c) { c.width = -4; }, "got 2 and -4");
  refuses([](C& c) { c.blocks = {}; }, "at least one stage");
  refuses([](C& c) { c.blocks = {2, 0}; }, "at least one block each");
  refuses([](C& c) { c.strides = {1}; },
          "strides: one for each of the 2 stages expected, each > 0, got 1");
  refuses([](C& c) { c.strides = {1, 0}; }, "each > 0");
  refuses([](C& c) { c.stem = "patch"; }, "stem 'patch': cifar or imagenet");
  refuses([](C& c) { c.axes = 3, c.stem = "imagenet"; }, "stem imagenet is for pictures");
  refuses([](C& c) { c.slots = 4; }, "0 to 3 slots expected, one a residual block, got 4");
  refuses([](C& c) { c.slots = -1; }, "got -1");
  refuses([](C& c) { c.image_height = 8; }, "all sizes > 0 or all 0 (any) expected, got [8, 0]");
  refuses([](C& c) { c.image_height = -8, c.image_width = 8; }, "got [-8, 8]");
  refuses([](C& c) { c.frames = 8; }, "frames are for clips");
  refuses([](C& c) { c.time_kernel = 1; }, "time_kernel 3, or 1 for clips, expected, got 1");
  refuses([](C& c) { c.non_local.max_length = 8; }, "max_length is for the model to set");
  refuses([](C& c) { c.non_local.heads = 3; }, "3 heads do not divide the 4 inner channels");
  refuses([](C& c) { c.non_local.attention = "nonesuch"; }, "nonesuch");

  models::ResNet model(small_resnet()), clips(small_clips());
  for (const Shape& shape : {Shape{1, 3, 8, 12}, Shape{2, 8, 12}, Shape{1, 2, 3, 8, 12}})
    REQUIRE_THROWS_SAYING(model.forward(zeros(shape)), ShapeError,
                          str("images [B, 2, H, W] expected, got ", shape));
  REQUIRE_THROWS_SAYING(clips.forward(zeros({1, 2, 8, 12})), ShapeError,
                        "clips [B, 2, frames, H, W] expected, got [1, 2, 8, 12]");
}
