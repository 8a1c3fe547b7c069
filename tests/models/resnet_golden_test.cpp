// Residual networks against torchvision's and plain PyTorch's: numbers and names.
#include <fstream>

#include <nlohmann/json.hpp>

#include <heed/models/resnet.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;

namespace {

models::ResNetConfig config(int64_t axes, int64_t channels, int64_t width,
                            const std::vector<int64_t>& blocks,
                            const std::vector<int64_t>& strides) {
  models::ResNetConfig c;
  c.axes = axes, c.channels = channels, c.classes = 5;
  c.width = width;
  c.blocks = blocks, c.strides = strides;
  return c;
}

models::ResNetConfig torchvision_config() {
  models::ResNetConfig c = config(2, 3, 2, {1, 1, 1, 1}, {1, 2, 2, 2});
  c.stem = "imagenet";
  return c;
}

void require_golden(const nn::StateDict& file, const models::ResNetConfig& c, bool training) {
  INFO("training " << training << ", recompute " << c.recompute);
  models::ResNet model(c);
  model.to(DType::f64);
  nn::StateDict state = below(file, "param."), before = below(file, "before.");
  state.insert(before.begin(), before.end());
  model.load_state_dict(nn::from_pytorch(state, model));
  model.train(training);
  const std::string name = training ? "training." : "eval.";
  Tensor images = file.at("images").clone().set_requires_grad(true);
  Tensor logits = model.forward(images);
  REQUIRE(difference(logits, file.at(name + "out")) < 1e-12);
  logits.backward(file.at("cotangent"));
  for (const auto& [buffer, t] : model.named_buffers()) {
    INFO(buffer);
    REQUIRE(difference(t, file.at((training ? "after." : "before.") + buffer)) < 1e-12);
  }
  nn::StateDict gradients = below(file, name + "grad.param.");
  if (gradients.empty()) return;
  REQUIRE(difference(images.grad(), file.at(name + "grad.images")) < 1e-12);
  REQUIRE(gradients.size() == model.parameters().size());
  for (const auto& [parameter, t] : model.named_parameters()) {
    INFO(parameter);
    REQUIRE(difference(t.grad(), gradients.at(parameter)) < 1e-12);
  }
}

}  // namespace

TEST_CASE("resnet: logits, gradients and running statistics are PyTorch's", "[resnet]") {
  const bool training = GENERATE(true, false), recompute = GENERATE(false, true);
  auto check = [&](const nn::StateDict& file, models::ResNetConfig c) {
    c.recompute = recompute;
    require_golden(file, c, training);
  };
  nn::StateDict torchvision = golden("resnet_torchvision");
  nn::StateDict gradients = golden("resnet_torchvision_gradients");
  REQUIRE(gradients.size() == 39);  // of 38 parameters and the pictures
  torchvision.insert(gradients.begin(), gradients.end());
  check(torchvision, torchvision_config());
  check(golden("resnet_cifar"), config(2, 2, 3, {2, 1}, {1, 2}));
  check(golden("resnet_clips"), config(3, 2, 2, {1, 1}, {1, 2}));
}

TEST_CASE("resnet: the names and shapes of torchvision's resnet18", "[resnet]") {
  std::ifstream in(std::string(HEED_SOURCE_DIR) + "/tests/golden/resnet18_names.json");
  const nlohmann::json theirs = nlohmann::json::parse(in);
  models::ResNetConfig c = models::resnet_preset("resnet18");
  c.classes = 1000;
  models::ResNet model(c);
  REQUIRE(model.parameter_count() == 11689512);
  nn::StateDict ours = nn::to_pytorch(model);
  REQUIRE(ours.size() == theirs.size());
  for (const auto& [name, shape] : theirs.items()) {
    INFO(name);
    REQUIRE(ours.count(name) == 1);
    Shape expected;
    for (int64_t size : shape) expected.push_back(size);
    REQUIRE(ours.at(name).shape() == expected);
  }
}
