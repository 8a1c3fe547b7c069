#include <heed/models/language_model.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/core/error.h>
#include <heed/models/config_json.h>
#include <heed/nn/init.h>

namespace heed::models {

namespace {
LanguageModelConfig completed(LanguageModelConfig c) {
  auto require = [](bool good, const std::string& what) {
    if (!good) throw ValueError("LanguageModel: " + what);
  };
  require(c.vocab > 0, str("vocab > 0 expected, got ", c.vocab));
  require(c.context > 1, str("context > 1 expected, got ", c.context));
  require(c.width > 0 && c.heads > 0 && c.layers > 0 && c.hidden >= 0, "sizes > 0 expected");
  require(c.width % c.heads == 0,
          str("width ", c.width, " is not a multiple of ", c.heads, " heads"));
  require(c.dropout >= 0 && c.dropout < 1, str("0 <= dropout < 1 expected, got ", c.dropout));
  double a = c.attention_dropout.value_or(0);
  require(a >= 0 && a < 1, str("0 <= attention dropout < 1 expected, got ", a));
  if (c.hidden == 0) c.hidden = 4 * c.width;
  return c;
}

nn::TransformerConfig stack(const LanguageModelConfig& c) {
  nn::TransformerConfig s;
  s.width = c.width;
  s.heads = c.heads;
  s.hidden = c.hidden;
  s.layers = c.layers;
  s.dropout = c.dropout;
  s.attention_dropout = c.attention_dropout;
  s.activation = "gelu_tanh";
  s.norm_first = true;
  s.causal = true;
  s.attention = c.attention;
  s.max_length = c.context;
  s.checkpoint = c.checkpoint;
  return s;
}

ConfigFields fields(LanguageModelConfig& c) {
  return {{"vocab", &c.vocab},         {"context", &c.context},
          {"width", &c.width},         {"heads", &c.heads},
          {"layers", &c.layers},       {"hidden", &c.hidden},
          {"dropout", &c.dropout},     {"attention_dropout", &c.attention_dropout},
          {"attention", &c.attention}, {"checkpoint", &c.checkpoint}};
}
}  // namespace

LanguageModel::LanguageModel(const LanguageModelConfig& config)
    : config_(completed(config)),
      wte_(config_.vocab, config_.width),
      wpe_(config_.context, config_.width),
      dropout_(config_.dropout),
      stack_(heed::models::stack(config_)) {
  register_module("wte", wte_);
  register_module("wpe", wpe_);
  register_module("dropout", dropout_);
  register_module("h", stack_);

  // GPT-2's: normal with 0.02; what adds to the residual stream smaller, by how many do.
  double residual = 0.02 / std::sqrt(2 * static_cast<double>(config_.layers));
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

nn::DecoderState LanguageModel::new_state(int64_t batch, int64_t capacity) const {
  return stack_.new_state(batch, capacity);
}

Tensor LanguageModel::step(const Tensor& ids, int64_t position, nn::DecoderState& state) const {
  Tensor x = stack_.step(embed(ids, position), state);  // [B, T, d]
  return logits(x.slice(1, -1, x.dim(1)).squeeze(1));   // [B, V]
}

LanguageModelConfig language_model_preset(const std::string& name) {
  LanguageModelConfig c;
  auto set = [&](int64_t context, int64_t width, int64_t heads, int64_t layers) {
    c.context = context;
    c.width = width;
    c.heads = heads;
    c.layers = layers;
  };
  if (name == "nano") set(128, 128, 4, 4);
  else if (name == "mini") set(256, 384, 6, 6);
  else if (name == "small") set(1024, 768, 12, 12);
  else if (name == "medium") set(1024, 1024, 16, 24);
  else throw ValueError(str("preset '", name, "': nano, mini, small or medium expected"));
  return c;
}

const std::vector<std::string>& language_model_presets() {
  static const std::vector<std::string> names = {"nano", "mini", "small", "medium"};
  return names;
}

std::string to_json(const LanguageModelConfig& config) {
  LanguageModelConfig c = config;
  return write_config("language_model", fields(c));
}

LanguageModelConfig language_model_from_json(std::string_view json) {
  LanguageModelConfig c;
  read_config(json, "language_model", fields(c));
  return c;
}

}  // namespace heed::models
