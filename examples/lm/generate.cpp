// `lm generate`: text from a trained language model.
#include <cstdio>

#include <heed/data/utf8.h>
#include <heed/models/beam_search.h>
#include <heed/models/sample.h>

#include "../common/saved_model.h"
#include "settings.h"

namespace heed::examples {

namespace {
std::vector<int64_t> continue_text(const GenerateSettings& s, const models::LanguageModel& model,
                                   const std::vector<int64_t>& prompt) {
  if (s.beam > 0) {
    models::BeamOptions options{.beam = s.beam, .length_extra = s.tokens, .rules = s.rules};
    return models::beam_search(model, {.prompts = {prompt}}, options)[0].front().tokens;
  }
  models::SampleOptions options{.max_tokens = s.tokens,
                                .temperature = s.temperature,
                                .top_k = s.top_k,
                                .top_p = s.top_p,
                                .seed = static_cast<uint64_t>(s.seed),
                                .rules = s.rules};
  return models::generate(model, prompt, options);
}
}  // namespace

int generate_command(const GenerateSettings& s) {
  set_threads(s.threads);
  if (size_t at = data::utf8_error(s.prompt); at != std::string_view::npos)
    throw ValueError(str("--prompt: invalid UTF-8 at byte ", at + 1));
  require_in_range({{"--tokens", s.tokens, s.beam > 0 ? 1 : 0},
                    {"--seed", s.seed, 0, kAnyHigh},
                    {"--beam", s.beam, 0, models::kMostBeams},
                    {"--no-repeat-ngram", s.rules.no_repeat_ngram, 0}});
  require_positive("--repetition-penalty", s.rules.repetition_penalty);

  auto saved = load_model<models::LanguageModel>(train::find_checkpoint(s.model),
                                                 models::language_model_from_json);
  const data::Tokenizer& tokenizer = *saved.tokenizer;
  // Without a prompt the model begins after the end of a line.
  bool bytes = std::string_view(tokenizer.kind()) == "byte";
  std::vector<int64_t> text = tokenizer.encode(s.prompt), prompt = text;
  if (prompt.empty()) prompt = bytes ? tokenizer.encode("\n") : std::vector<int64_t>{data::kEos};
  std::vector<int64_t> made = continue_text(s, *saved.model, prompt);
  text.insert(text.end(), made.begin(), made.end());
  std::printf("%s\n", decode_text(tokenizer, text).c_str());
  return 0;
}

}  // namespace heed::examples
