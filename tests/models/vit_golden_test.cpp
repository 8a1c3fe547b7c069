// The vision transformer against torchvision's: numbers and names.
#include <heed/models/vit.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;

namespace {

void require_golden(const models::ViTConfig& config) {
  nn::StateDict file = golden("vit_tiny");
  models::ViT model(config);
  model.to(DType::f64);
  model.load_state_dict(nn::from_pytorch(below(file, "param."), model));
  Tensor images = file.at("plain.images").clone().set_requires_grad(true);
  Tensor logits = model.forward(images);
  REQUIRE(difference(logits, file.at("plain.out")) < 1e-12);
  logits.backward(file.at("plain.cotangent"));
  REQUIRE(difference(images.grad(), file.at("plain.grad.images")) < 1e-12);
  nn::StateDict expected = nn::from_pytorch(below(file, "plain.grad.param."), model);
  REQUIRE(expected.size() == model.parameters().size());
  for (const auto& [name, parameter] : model.named_parameters()) {
    INFO(name);
    REQUIRE(difference(parameter.grad(), expected.at(name)) < 1e-12);
  }
}

models::ViTConfig golden_config() {
  models::ViTConfig c;
  c.image_height = c.image_width = 12;
  c.patch = 4, c.classes = 5;
  c.stack.layer.width = 8, c.stack.layer.hidden = 16;
  c.stack.layer.attention.heads = 2;
  c.stack.layers = 2;
  return c;
}

}  // namespace

TEST_CASE("vit: logits and all gradients are torchvision's", "[vit]") {
  models::ViTConfig c = golden_config();
  c.stack.recompute = GENERATE(false, true);
  require_golden(c);
}

TEST_CASE("vit: PyTorch's names out are those that came in", "[vit]") {
  nn::StateDict theirs = below(golden("vit_tiny"), "param.");
  models::ViT model(golden_config());
  model.to(DType::f64);
  model.load_state_dict(nn::from_pytorch(theirs, model));
  nn::StateDict out = nn::to_pytorch(model);
  REQUIRE(out.size() == theirs.size());
  for (const auto& [name, tensor] : theirs) REQUIRE(difference(out.at(name), tensor) == 0);

  // Files from before torchvision 0.14 call the feed-forward network's parts otherwise.
  nn::StateDict older;
  for (const auto& [name, tensor] : theirs) {
    std::string was = name;
    for (auto [now, then] :
         {std::pair{"mlp.0", "mlp.linear_1"}, std::pair{"mlp.3", "mlp.linear_2"}})
      if (size_t at = was.find(now); at != std::string::npos) was.replace(at, 5, then);
    older[was] = tensor;
  }
  REQUIRE(older.count("encoder.layers.encoder_layer_1.mlp.linear_2.bias") == 1);
  model.load_state_dict(nn::from_pytorch(older, model));
  older["heads.head.weight"] = older["head.weight"] = theirs.at("heads.head.weight");
  REQUIRE_THROWS_SAYING(nn::from_pytorch(older, model), ValueError,
                        "head.weight is there under two names");

  // A part of another model has its names too.
  struct Pair : nn::Module {
    models::ViT left{golden_config()}, right{golden_config()};
    Pair() {
      register_module("left", left);
      register_module("right", right);
    }
  } pair;
  nn::StateDict both = nn::to_pytorch(pair);
  REQUIRE(both.count("right.encoder.layers.encoder_layer_1.self_attention.in_proj_weight") == 1);
  REQUIRE(both.size() == 2 * theirs.size());
  pair.load_state_dict(nn::from_pytorch(both, pair));
}
