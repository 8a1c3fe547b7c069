#include "settings.h"

#include <algorithm>
#include <sstream>

#include <heed/data/utf8.h>

#include "../common/checks.h"
#include "../common/layer_settings.h"

namespace heed::examples {

Settings settings_of(LmSettings& s) {
  constexpr bool kMayChange = false;
  nn::TransformerLayerConfig& layer = s.model.stack.layer;
  Settings first = {
      {"text", &s.text, "text to learn from (.gz too); without it: a generated one", kMayChange},
      {"valid-text", &s.valid_text, "text for validation; without it the end of --text is held out",
       kMayChange},
  };
  Settings sizes = {
      {"batch", &s.batch, "windows a batch"},
      {"context", &s.model.context, "tokens a window"},
      {"preset", &s.preset, "nano, mini, small or medium"},
      {"attention", &layer.attention.variant, "name:key=value,..; needs a causal form"},
  };
  Settings last = {
      {"weight-decay", &s.weight_decay, "of matrices"},
      {"eval-every", &s.eval_every, "steps between evaluations; 0 = at each epoch's end",
       kMayChange},
  };
  return joined({first, settings_of(s.tokenizer, "byte, word, bpe or unigram"), sizes,
                 precision_settings(layer, s.precision),
                 layer_settings(layer, s.model.stack.recompute), last, settings_of(s.training)});
}

namespace {
void check(const LmSettings& s) {
  check(s.tokenizer, {"byte", "word", "bpe", "unigram"});
  require_one_of("--preset", s.preset, models::language_model_presets());
  check_precision(s.precision);
  require(!s.text.empty() || s.valid_text.empty(), "--valid-text needs --text");
  require_in_range({{"--batch", s.batch, 1, 1'000'000},
                    {"--context", s.model.context, 2, 1'000'000},
                    {"--eval-every", s.eval_every, 0}});
  check_dropout(s.model.stack.layer);
  require_not_negative({{"--weight-decay", s.weight_decay}});
  check(s.training);
}
}  // namespace

void complete(LmSettings& s, const Settings& settings) {
  complete(s, settings, LmSettings(), models::language_model_from_json);
  check(s);
}

models::LanguageModelConfig model_config(const LmSettings& s, int64_t vocab) {
  models::LanguageModelConfig c = s.model;
  models::set_preset_sizes(c, s.preset);
  c.vocab = vocab;
  return c;
}

std::vector<int64_t> encode_text(const data::Tokenizer& tokenizer, const std::string& text) {
  if (std::string_view(tokenizer.kind()) == "byte") return tokenizer.encode(text);
  std::vector<int64_t> ids;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::vector<int64_t> part;
    if (tokenizer.keeps_whitespace() || !data::is_blank(line)) part = tokenizer.encode(line);
    ids.insert(ids.end(), part.begin(), part.end());
    ids.push_back(data::kEos);
  }
  return ids;
}

std::string decode_text(const data::Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  std::string text;
  for (auto begin = ids.begin(); begin != ids.end();) {
    auto end = std::find(begin, ids.end(), data::kEos);
    text += tokenizer.decode(std::vector<int64_t>(begin, end));
    if (end == ids.end()) break;
    text += '\n';
    begin = end + 1;
  }
  return text;
}

}  // namespace heed::examples
