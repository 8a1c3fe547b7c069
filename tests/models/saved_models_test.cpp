// Models that were saved before their settings nested (tests/models/saved): config.json and weights
// still load, and the model says the same.
#include <fstream>
#include <sstream>

#include <heed/models/config_json.h>
#include <heed/models/language_model.h>
#include <heed/models/sample.h>
#include <heed/tests/models/small_models.h>
#include <heed/train/weights.h>

using namespace heed;
using namespace heed::test;

namespace {
std::string folder(const std::string& name) {
  return std::string(HEED_SOURCE_DIR) + "/tests/models/saved/" + name;
}

std::string config_of(const std::string& name) {
  std::ifstream file(folder(name) + "/config.json");
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void check_logits(const Tensor& logits, const std::vector<double>& expected) {
  std::vector<double> got = logits.to_vector();
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) REQUIRE(got[i] == Approx(expected[i]).margin(2e-6));
}
}  // namespace

TEST_CASE("saved models: a translator of an older version", "[saved]") {
  models::TransformerConfig c = models::transformer_from_json(config_of("transformer"));
  REQUIRE((c.vocab == 12 && c.layer.width == 8 && c.layer.hidden == 12 && !c.tied));
  REQUIRE((c.encoder_layers == 1 && c.decoder_layers == 1 && c.layer.norm_first && c.recompute));
  REQUIRE((c.layer.dropout == 0.25 && c.layer.activation == "gelu"));
  const nn::MultiHeadAttentionConfig& a = c.layer.attention;
  REQUIRE((a.heads == 2 && !a.dropout && a.variant == "dense" && a.max_length == 32));
  REQUIRE((c.layer.cross_variant == "efficient" && c.decoder_variant == "dense"));
  REQUIRE_FALSE(a.qk_norm);  // there was no such setting

  models::Transformer model(c);
  train::load_weights(model, folder("transformer") + "/weights.safetensors");
  model.eval();
  NoGrad guard;
  Tensor source = integers({4, 5, 6, 7}, {1, 4});
  Lengths lengths{4};
  Tensor states = model.decode(integers({2, 9, 8}, {1, 3}), model.encode(source, lengths));
  check_logits(model.logits(states)[0][2],
               {0.784711, 1.068815, 0.756170, 0.907888, 0.273294, -0.027014, -1.020274, 0.088669,
                -0.776848, 0.947571, 0.081769, 0.295709});
  auto found = models::beam_search(model, {source, lengths}, {.beam = 3})[0];
  REQUIRE(found.size() == 3);
  REQUIRE(found[0].tokens == std::vector<int64_t>{1, 6});
  REQUIRE(found[1].tokens == std::vector<int64_t>{4, 1, 6});
  REQUIRE(found[2].tokens == std::vector<int64_t>{1, 6, 1, 10, 8});
  REQUIRE(found[2].score == Approx(-6.618334).epsilon(1e-6));
}

TEST_CASE("saved models: a language model of an older version", "[saved]") {
  models::LanguageModelConfig c = models::language_model_from_json(config_of("language_model"));
  REQUIRE((c.vocab == 12 && c.context == 8 && c.stack.layers == 1 && !c.stack.recompute));
  const nn::TransformerLayerConfig& layer = c.stack.layer;
  REQUIRE((layer.width == 8 && layer.hidden == 32 && layer.dropout == 0.1));
  REQUIRE((layer.attention.variant == "window:left=4" && layer.attention.dropout == 0.0));
  REQUIRE((layer.norm_first && layer.activation == "gelu_tanh" && !layer.attention.qk_norm));

  models::LanguageModel model(c);
  train::load_weights(model, folder("language_model") + "/weights.safetensors");
  model.eval();
  NoGrad guard;
  check_logits(model.logits(model.forward(integers({2, 9, 8, 1}, {1, 4})))[0][3],
               {-0.031743, 0.045432, 0.014931, 0.016953, 0.027280, 0.037101, 0.032247, -0.022910,
                0.000627, 0.046638, -0.004413, 0.107391});
  REQUIRE(models::generate(model, {1, 2, 3}, {.max_tokens = 20, .seed = 7}) ==
          std::vector<int64_t>{6, 8, 8, 7, 11, 5, 9, 0, 10, 10, 4, 10, 5, 10, 1, 9, 9, 1, 7, 6});
}

TEST_CASE("saved models: a setting is read by its old name and written by its new one", "[saved]") {
  models::TransformerConfig c;
  c.recompute = true;
  std::string text = models::to_json(c);
  auto with = [&](const std::string& names) {
    std::string changed = text;
    return changed.replace(changed.find("\"recompute\": true"), 17, names);
  };
  REQUIRE_THAT(text, !ContainsSubstring("checkpoint"));
  REQUIRE(models::transformer_from_json(text).recompute);
  REQUIRE(models::transformer_from_json(with("\"checkpoint\": true")).recompute);
  REQUIRE_THROWS_SAYING(
      models::transformer_from_json(with("\"recompute\": true, \"checkpoint\": true")), ValueError,
      "no setting \"checkpoint\"");

  std::string old = config_of("language_model");
  old.replace(old.find("\"checkpoint\": false"), 19, "\"checkpoint\": true");
  REQUIRE(models::language_model_from_json(old).stack.recompute);

  bool recompute = false;  // a program's section may lack settings, so none is reported missing
  models::read_section(R"({"training": {"checkpoint-activations": true}})", "training",
                       {{"recompute", &recompute}}, {{"checkpoint-activations", "recompute"}});
  REQUIRE(recompute);
}

TEST_CASE("saved models: settings of a layer reach the model, and config.json", "[saved]") {
  models::TransformerConfig c = small_config();
  c.layer.attention.qk_norm = true;
  c.layer.attention.kv_heads = 1;
  c.layer.attention.bias = false;
  models::TransformerConfig again = models::transformer_from_json(models::to_json(c));
  REQUIRE(models::to_json(again) == models::to_json(c));
  models::Transformer model(again);
  auto names = model.state_dict();
  for (std::string part : {"encoder.layers.1.self_attn.", "decoder.layers.1.self_attn.",
                           "decoder.layers.1.multihead_attn."}) {
    REQUIRE(names.count(part + "q_norm.weight") == 1);
    REQUIRE(names.count(part + "k_proj.bias") == 0);
    REQUIRE(names.at(part + "k_proj.weight").shape() == Shape{16, 32});
  }
  auto batch = make_batch(4, 7, 24, 3);
  REQUIRE(overfit(model, 160, 5e-3, [&] { return model.loss(batch); }) < 0.01);

  models::LanguageModelConfig l;
  l.vocab = 5;
  l.stack.layer.width = 8;
  l.stack.layer.attention.heads = 2;
  l.stack.layer.attention.qk_norm = true;
  l.stack.layer.norm_first = false;
  models::LanguageModelConfig m = models::language_model_from_json(models::to_json(l));
  REQUIRE((m.stack.layer.attention.qk_norm && !m.stack.layer.norm_first));

  c.layer.attention.rope = nn::RopeOptions{};
  REQUIRE_THROWS_SAYING(models::to_json(c), ValueError, "config.json keeps no scale, rope");
  l.stack.positions = nn::PositionTerm::alibi;
  REQUIRE_THROWS_SAYING(models::to_json(l), ValueError, "keeps no positions");
}
