// Weight files, heed's and PyTorch's.
#include <heed/train/weights.h>

#include <heed/models/resnet.h>
#include <heed/models/vit.h>
#include <heed/nn/batch_norm.h>
#include <heed/nn/init.h>
#include <heed/nn/multi_head_attention.h>
#include <heed/nn/norm.h>
#include <heed/nn/transformer.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/train/toy.h>

namespace heed::test {
using namespace train;

TEST_CASE("weight files: round trip, and what does not fit is named", "[weights]") {
  TempDir directory;
  Mlp model(1), other(2), wide(3, 24);
  fs::path file = directory / "model.safetensors";
  save_weights(model, file);
  load_weights(other, file);
  REQUIRE(bits(other.state_dict()) == bits(model.state_dict()));
  REQUIRE_FALSE(fs::exists(directory / "model.safetensors.tmp"));
  auto before = bits(wide.state_dict());
  REQUIRE_THROWS_SAYING(load_weights(wide, file), ValueError, "model.safetensors");
  REQUIRE_THROWS_SAYING(load_weights(wide, file), ValueError, "first.weight");
  REQUIRE(bits(wide.state_dict()) == before);
  REQUIRE_THROWS_SAYING(load_weights(model, directory / "none"), IoError, "none");
  REQUIRE_THROWS_SAYING(save_weights(model, directory / "no/such/dir"), IoError, "no/such/dir");
  spit(file, slurp(file).substr(0, 100));
  REQUIRE_THROWS_SAYING(load_weights(model, file), IoError, "model.safetensors");
}

namespace {
models::ViTConfig small_vit(int64_t classes) {
  models::ViTConfig c;
  c.image_height = c.image_width = 12;
  c.patch = 4, c.classes = classes;
  c.stack.layer.width = 8, c.stack.layer.hidden = 16;
  c.stack.layer.attention.heads = 2;
  c.stack.layers = 2;
  return c;
}

models::ResNetConfig small_resnet(int64_t classes) {
  models::ResNetConfig c = models::resnet_preset("resnet18");
  c.blocks = {1, 1, 1, 1};
  c.width = 2, c.classes = classes;
  return c;
}

const fs::path kGolden = fs::path(HEED_SOURCE_DIR) / "tests/golden";

// PyTorch's file into a model and out again: the same tensors, to the bit.
template <class Model>
void require_round_trip(Model& model, const std::string& name) {
  INFO(name);
  TempDir directory;
  fs::path golden = kGolden / (name + ".safetensors"), written = directory / "written.safetensors";
  load_pytorch(model, golden);
  save_pytorch(model, written);
  REQUIRE(bits(read_state(written)) == bits(read_state(golden)));
  // heed's own names and the packed ones are told apart.
  save_weights(model, written);
  REQUIRE(bits(read_state(written)) == bits(model.state_dict()));
  load_pytorch(model, written);
}
}  // namespace

TEST_CASE("weight files: PyTorch's packed attention in and out", "[weights]") {
  nn::MultiHeadAttention attention(8, {.heads = 2});
  require_round_trip(attention, "state_dict_mha");
  nn::TransformerStackConfig config{.layer = {.width = 8, .hidden = 16, .attention = {.heads = 2}},
                                    .layers = 2};
  nn::TransformerEncoder encoder(config);
  require_round_trip(encoder, "state_dict_encoder");
  nn::TransformerDecoder decoder(config);
  require_round_trip(decoder, "state_dict_decoder");
}

TEST_CASE("weight files: PyTorch's norms with running statistics in and out", "[weights]") {
  struct Norms : nn::Module {
    nn::BatchNorm2d norm{4};
    nn::GroupNorm groups{2, 4};
    Norms() {
      register_module("norm", norm);
      register_module("groups", groups);
    }
  };
  Norms model;
  require_round_trip(model, "state_dict_norm");
  REQUIRE(model.norm.num_batches_tracked.item() == 3);
}

TEST_CASE("weight files: torchvision's VisionTransformer in and out", "[weights]") {
  models::ViT model(small_vit(5));
  require_round_trip(model, "state_dict_vit");
}

TEST_CASE("weight files: torchvision's ResNet in and out", "[weights]") {
  models::ResNet model(small_resnet(5));
  require_round_trip(model, "state_dict_resnet");

  // Into a network for other classes, with slots.
  models::ResNetConfig c = small_resnet(7);
  c.slots = 2;
  models::ResNet other(c);
  auto before = bits(other.state_dict());
  fs::path theirs = kGolden / "state_dict_resnet.safetensors";
  REQUIRE_THROWS_SAYING(load_pytorch(other, theirs, {.skip = {"slots"}}), ValueError,
                        "fc.bias: [7] expected, got [5]");
  REQUIRE_THROWS_SAYING(load_pytorch(other, theirs, {.skip = {"fc"}}), ValueError,
                        "26 missing:\n  slots.0.g.bias");
  REQUIRE(bits(other.state_dict()) == before);
  load_pytorch(other, theirs, {.skip = {"fc", "slots"}});
  auto expected = bits(model.state_dict());
  for (const auto& [name, values] : bits(other.state_dict())) {
    INFO(name);
    const bool own = name.starts_with("fc.") || name.starts_with("slots.");
    REQUIRE(values == (own ? before : expected).at(name));
  }

  // Files from before PyTorch 0.4.1 do not say how many batches a norm has seen.
  nn::StateDict older = read_state(theirs);
  const size_t removed = std::erase_if(
      older, [](const auto& entry) { return entry.first.ends_with("num_batches_tracked"); });
  REQUIRE(removed == 12);
  TempDir directory;
  save_state(older, directory / "older.safetensors");
  models::ResNet loaded(small_resnet(5));
  load_pytorch(loaded, directory / "older.safetensors");
  expected = bits(model.state_dict());
  for (const auto& [name, values] : bits(loaded.state_dict()))
    if (!name.ends_with("num_batches_tracked")) REQUIRE(values == expected.at(name));
  older.erase("layer2.0.bn1.running_mean");
  save_state(older, directory / "older.safetensors");
  REQUIRE_THROWS_SAYING(load_pytorch(loaded, directory / "older.safetensors"), ValueError,
                        "layer2.0.bn1.num_batches_tracked");
}

TEST_CASE("weight files: parts of a model that are not loaded keep their values", "[weights]") {
  fs::path theirs = kGolden / "state_dict_vit.safetensors";
  TempDir directory;
  fs::path ours = directory / "ours.safetensors";
  models::ViT trained(small_vit(5)), model(small_vit(7));
  load_pytorch(trained, theirs);
  save_weights(trained, ours);
  auto before = bits(model.state_dict());
  REQUIRE_THROWS_SAYING(load_pytorch(model, theirs), ValueError,
                        "head.bias: [7] expected, got [5]");
  REQUIRE(bits(model.state_dict()) == before);
  for (bool pytorch : {true, false}) {
    models::ViT other(small_vit(7));
    nn::init::ones_(other.state_dict().at("head.weight"));
    if (pytorch) load_pytorch(other, theirs, {.skip = {"head"}});
    else load_weights(other, ours, {.skip = {"head"}});
    auto expected = bits(trained.state_dict()), got = bits(other.state_dict());
    for (const auto& [name, values] : got)
      if (!name.starts_with("head.")) REQUIRE(values == expected.at(name));
    for (double w : other.state_dict().at("head.weight").to_vector()) REQUIRE(w == 1);
    REQUIRE_THROWS_SAYING(load_weights(other, ours, {.skip = {"hea"}}), ValueError,
                          "ViT has nothing at 'hea'");
    REQUIRE_THROWS_SAYING(load_weights(other, ours, {.skip = {"head.weight"}}), ValueError,
                          "head.bias: [7] expected");
  }
  // What the file lacks may be skipped as well.
  models::ViTConfig plain = small_vit(5);
  plain.positions = "none";
  models::ViT without(plain);
  save_weights(without, ours);
  REQUIRE_THROWS_SAYING(load_weights(trained, ours), ValueError, "positions");
  load_weights(trained, ours, {.skip = {"positions"}});
}

TEST_CASE("weight files: another model's PyTorch file is refused", "[weights]") {
  nn::MultiHeadAttention wide(16, {.heads = 2});
  auto before = bits(wide.state_dict());
  REQUIRE_THROWS_SAYING(load_pytorch(wide, kGolden / "state_dict_mha.safetensors"), ValueError,
                        "state_dict_mha.safetensors");
  REQUIRE(bits(wide.state_dict()) == before);
  Mlp mlp;
  REQUIRE_THROWS_SAYING(load_pytorch(mlp, kGolden / "state_dict_encoder.safetensors"), ValueError,
                        "first.weight");
}

}  // namespace heed::test
