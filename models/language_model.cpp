#include <heed/models/language_model.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/core/error.h>
#include <heed/models/layer_config_json.h>
#include <heed/nn/init.h>

namespace heed::models {

namespace {
LanguageModelConfig completed(LanguageModelConfig c) {
  auto require = [](bool good, const std::string& what) {
    if (!good) throw ValueError("LanguageModel: " + what);
  };
  require(c.vocab > 0, str("vocab > 0 expected, got ", c.vocab));
  require(c.context > 1, str("context > 1 expected, got ", c.context));
  nn::TransformerLayerConfig& layer = c.stack.layer;
  int64_t heads = layer.attention.heads;
  require(layer.width > 0 && heads > 0 && c.stack.layers > 0 && layer.hidden >= 0,
          "sizes > 0 expected");
  require(layer.width % heads == 0,
          str("width ", layer.width, " is not a multiple of ", heads, " heads"));
  double d = layer.dropout, a = layer.attention.dropout.value_or(0);
  require(d >= 0 && d < 1, str("0 <= dropout < 1 expected, got ", d));
  require(a >= 0 && a < 1, str("0 <= attention dropout < 1 expected, got ", a));
  if (layer.hidden == 0) layer.hidden = 4 * layer.width;
  layer.attention.causal = true;
  layer.attention.max_length = c.context;
  return c;
}

ConfigFields fields(LanguageModelConfig& c) {
  nn::TransformerLayerConfig& layer = c.stack.layer;
  return {{"vocab", &c.vocab},
          {"context", &c.context},
          {"width", &layer.width},
          {"heads", &layer.attention.heads},
          {"layers", &c.stack.layers},
          {"hidden", &layer.hidden},
          {"dropout", &layer.dropout},
          {"attention_dropout", &layer.attention.dropout},
          {"attention", &layer.attention.variant},
          {"recompute", &c.stack.recompute}};
}

ConfigFields later(LanguageModelConfig& c) {
  ConfigFields all = later_fields(c.stack.layer);
  all.emplace_back("activation", &c.stack.layer.activation);
  all.emplace_back("norm_first", &c.stack.layer.norm_first);
  all.emplace_back("final_norm", &c.stack.final_norm);
  return all;
}
}  // namespace

LanguageModel::LanguageModel(const LanguageModelConfig& config)
    : config_(completed(config)),
      wte_(config_.vocab, config_.stack.layer.width),
      wpe_(config_.context, config_.stack.layer.width),
      dropout_(config_.stack.layer.dropout),
      stack_(config_.stack) {
  register_module("wte", wte_);
  register_module("wpe", wpe_);
  register_module("dropout", dropout_);
  register_module("h", stack_);

  // As in GPT-2: normal, standard deviation 0.02; divided by sqrt(n) for the n projections that add
  // to the residual stream.
  double residual = 0.02 / std::sqrt(2 * static_cast<double>(config_.stack.layers));
  visit([&](const std::string& path, nn::Module& m) {
    auto* linear = dynamic_cast<nn::Linear*>(&m);
    if (!linear) return;
    bool adds = path.ends_with("out_proj") || path.ends_with("linear2");
    nn::init::normal_(linear->weight, 0, adds ? residual : 0.02);
    if (linear->bias.defined()) nn::init::zeros_(linear->bias);
  });
  nn::init::normal_(wte_.weight, 0, 0.02);
}

Tensor LanguageModel::embed(const Tensor& ids, int64_t position) const {
  return dropout_.forward(wpe_.forward(wte_.forward(ids), position));  // [B, T, d]
}

Tensor LanguageModel::forward(const Tensor& ids) const {
  auto scope = enter();
  if (ids.rank() != 2 || ids.dim(1) > config_.context)
    throw ShapeError(str("LanguageModel: ids [B, T] with T <= ", config_.context, " expected, got ",
                         ids.shape()));
  return stack_.forward(embed(ids));  // [B, T, d]
}

Tensor LanguageModel::logits(const Tensor& states) const {
  return linear(states, wte_.weight);  // [.., V]
}

Tensor LanguageModel::loss(const Tensor& ids, const Tensor& targets) const {
  return linear_cross_entropy(forward(ids), wte_.weight, Tensor(), targets);  // []
}

namespace {
class LanguageModelDecoding : public Decoding {
 public:
  LanguageModelDecoding(const LanguageModel& model, int64_t rows, int64_t capacity)
      : Decoding(rows), model_(model), state_(model.stack().new_state(rows, capacity)) {}

 private:
  Tensor take_in(const Tensor& tokens, int64_t length) override {
    Tensor x = model_.stack().step(model_.embed(tokens, length), state_);  // [R, T, d]
    return model_.logits(x.slice(1, -1, x.dim(1)).squeeze(1));             // [R, V]
  }
  void move_rows(const std::vector<int64_t>& rows, bool) override { state_.select(rows); }

  const LanguageModel& model_;
  nn::StackState state_;
};
}  // namespace

std::unique_ptr<Decoding> LanguageModel::start(const DecodingInputs& inputs,
                                               int64_t capacity) const {
  check_start(inputs, /*needs_source=*/false);
  return std::make_unique<LanguageModelDecoding>(*this, inputs.rows(), capacity);
}

void set_preset_sizes(LanguageModelConfig& config, const std::string& name) {
  auto set = [&](int64_t width, int64_t heads, int64_t layers) {
    config.stack.layer.width = width;
    config.stack.layer.attention.heads = heads;
    config.stack.layers = layers;
  };
  if (name == "nano") set(128, 4, 4);
  else if (name == "mini") set(384, 6, 6);
  else if (name == "small") set(768, 12, 12);
  else if (name == "medium") set(1024, 16, 24);
  else throw ValueError(str("preset '", name, "': nano, mini, small or medium expected"));
}

LanguageModelConfig language_model_preset(const std::string& name) {
  LanguageModelConfig c;
  set_preset_sizes(c, name);
  c.context = name == "nano" ? 128 : name == "mini" ? 256 : 1024;
  return c;
}

const std::vector<std::string>& language_model_presets() {
  static const std::vector<std::string> names = {"nano", "mini", "small", "medium"};
  return names;
}

std::string to_json(const LanguageModelConfig& config) {
  LanguageModelConfig c = config;
  require_kept("LanguageModel", c.stack);
  return write_config("language_model", fields(c), later(c));
}

LanguageModelConfig language_model_from_json(std::string_view json) {
  LanguageModelConfig c;
  read_config(json, "language_model", fields(c), later(c), {{"checkpoint", "recompute"}});
  return c;
}

}  // namespace heed::models
