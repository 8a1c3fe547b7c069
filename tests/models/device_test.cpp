// A training step and a decoding of the models on a device whose memory the host cannot read: the
// CPU's bits, and nothing read back in a step.
#include <heed/autograd/ops/losses.h>
#include <heed/core/device_memory.h>
#include <heed/models/language_model.h>
#include <heed/models/sample.h>
#include <heed/models/translate.h>
#include <heed/models/vit.h>
#include <heed/tests/models/small_models.h>
#include <heed/tests/models/small_resnet.h>
#include <heed/tests/support/test_device.h>

using namespace heed;
using namespace heed::test;

namespace {

std::vector<double> bits(const nn::Module& model) {
  std::vector<double> all;
  for (const Tensor& t : model.parameters())
    for (double x : t.to_vector()) all.push_back(x);
  return all;
}

// Four steps; returns how many values were read back in the last three.
template <class Loss>
int64_t train(nn::Module& model, Loss&& loss) {
  train::AdamW optimizer(model.named_parameters());
  int64_t before = 0;
  for (int i = 0; i < 4; ++i) {
    if (i == 1) before = transfer_counts(test_device()).to_host;
    Tensor l = loss();
    l.backward();
    optimizer.watch(l);
    optimizer.clip_grad_norm(1);
    optimizer.step(1e-3);
    optimizer.zero_grad();
  }
  return transfer_counts(test_device()).to_host - before;
}

struct Run {
  std::vector<double> weights;
  std::vector<std::vector<int64_t>> tokens;
  int64_t reads = 0;         // in three training steps
  int64_t decode_reads = 0;  // while decoding
  bool operator==(const Run& o) const { return weights == o.weights && tokens == o.tokens; }
};

Run translate_on(Device device) {
  DefaultDevice on(device);
  manual_seed(5);
  models::TransformerConfig config = small_config();
  config.layer.dropout = 0.1;
  models::Transformer model(config);
  models::TranslationBatch batch = make_batch(4, 7, config.vocab, 3);
  Run run;
  run.reads = train(model, [&] { return model.loss(batch, 0.1); });
  run.weights = bits(model);
  model.eval();
  int64_t before = transfer_counts(test_device()).to_host;
  std::vector<std::vector<int64_t>> sources{{4, 5, 6, 7}, {9, 8}};
  for (const models::Hypothesis& h : models::translate(model, sources, {.beam = 3}))
    run.tokens.push_back(h.tokens);
  run.decode_reads = transfer_counts(test_device()).to_host - before;
  return run;
}

Run generate_on(Device device) {
  DefaultDevice on(device);
  manual_seed(6);
  models::LanguageModelConfig config;
  config.vocab = 17;
  config.context = 8;
  config.stack.layer.width = 8;
  config.stack.layer.attention.heads = 2;
  config.stack.layers = 2;
  models::LanguageModel model(config);
  Tensor tokens = integers({1, 5, 2, 7, 3, 3, 1, 4}, {2, 4});
  Tensor targets = integers({5, 2, 7, 1, 3, 1, 4, 2}, {2, 4});
  Run run;
  run.reads = train(model, [&] { return model.loss(tokens, targets); });
  run.weights = bits(model);
  model.eval();
  int64_t before = transfer_counts(test_device()).to_host;
  run.tokens = {models::generate(model, {1, 5}, {.max_tokens = 6, .seed = 4})};
  run.decode_reads = transfer_counts(test_device()).to_host - before;
  return run;
}

Run classify_on(Device device, const std::string& positions) {
  DefaultDevice on(device);
  manual_seed(7);
  models::ViTConfig config;
  config.image_height = 8, config.image_width = 12;
  config.channels = 2, config.patch = 4, config.classes = 3;
  config.positions = positions;
  config.stack.layer.width = 16;
  config.stack.layer.dropout = 0.1;
  config.stack.layer.attention.heads = 2;
  config.stack.layers = 2;
  models::ViT model(config);
  Tensor images = randn({4, 2, 8, 12}), labels = integers({2, 0, 1, 2}, {4});
  Run run;
  run.reads = train(model, [&] { return cross_entropy(model.forward(images), labels); });
  run.weights = bits(model);
  return run;
}

Run classify_on(Device device, const models::ResNetConfig& config, const Shape& images) {
  DefaultDevice on(device);
  manual_seed(9);
  models::ResNet model(config);
  Tensor x = randn(images), labels = integers({2, 0, 1, 2}, {4});
  Run run;
  run.reads = train(model, [&] { return cross_entropy(model.forward(x), labels); });
  run.weights = bits(model);
  for (const auto& [name, t] : model.named_buffers())
    for (double value : t.to_vector()) run.weights.push_back(value);
  return run;
}

}  // namespace

TEST_CASE("a residual network with slots trains on another device", "[device]") {
  auto check = [](const models::ResNetConfig& config, const Shape& images) {
    Run here = classify_on(kCpu, config, images),
        there = classify_on(test_device(), config, images);
    REQUIRE(there == here);
    REQUIRE(there.reads == 0);
  };
  models::ResNetConfig config = small_resnet(2);
  config.non_local.attention = GENERATE("embedded_gaussian", "efficient");
  config.non_local.subsample = 2;
  config.recompute = GENERATE(false, true);
  check(config, {4, 2, 7, 12});
  models::ResNetConfig clips = small_clips(1);
  clips.non_local.attention = config.non_local.attention;
  check(clips, {4, 2, 3, 4, 5});
}

TEST_CASE("a vision transformer trains on another device", "[device]") {
  std::string positions = GENERATE("learned", "sinusoidal", "rope");
  Run here = classify_on(kCpu, positions), there = classify_on(test_device(), positions);
  REQUIRE(there == here);
  REQUIRE(there.reads == 0);
}

TEST_CASE("a translation model trains and decodes on another device", "[device]") {
  Run here = translate_on(kCpu), there = translate_on(test_device());
  REQUIRE(there == here);
  REQUIRE(there.reads == 0);
  size_t longest = 0;
  for (const auto& tokens : there.tokens) longest = std::max(longest, tokens.size());
  REQUIRE(there.decode_reads > 0);
  // One read a token; a search may go on for a while after the best text has ended.
  REQUIRE(there.decode_reads <= 2 * 4 + 10 + 1);
}

TEST_CASE("a language model trains and generates on another device", "[device]") {
  Run here = generate_on(kCpu), there = generate_on(test_device());
  REQUIRE(there == here);
  REQUIRE(there.reads == 0);
  // One a token, and at the end whether an index was out of range.
  REQUIRE(there.decode_reads == static_cast<int64_t>(there.tokens[0].size()) + 1);
}

TEST_CASE("decoding on another device refuses source tokens out of range at the end", "[device]") {
  DefaultDevice on(test_device());
  models::Transformer model(small_config());
  model.eval();
  for (int64_t bad : {int64_t{24}, int64_t{-1}, int64_t{1} << 40}) {
    models::DecodingInputs inputs{.source = integers({4, bad, 5}, {1, 3}), .lengths = {3}};
    REQUIRE_THROWS_SAYING(models::beam_search(model, inputs, {.beam = 2}), ValueError,
                          "beam_search: an index or target was out of range on test:0");
    REQUIRE_THROWS_SAYING(models::sample(model, inputs, {.max_tokens = 3}), ValueError,
                          "sample: an index or target was out of range on test:0");
  }
  models::DecodingInputs good{.source = integers({4, 6, 5}, {1, 3}), .lengths = {3}};
  REQUIRE(models::beam_search(model, good, {.beam = 2}).size() == 1);
}
