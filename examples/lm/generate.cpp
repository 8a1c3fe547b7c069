// `lm generate`: text from a trained language model.
#include <cstdio>
#include <optional>
#include <utility>

#include <heed/data/utf8.h>
#include <heed/models/beam_search.h>
#include <heed/models/sample.h>

#include "../common/saved_model.h"
#include "settings.h"

namespace heed::examples {

namespace {
// Prints a text that grows token by token, whole characters only.
class GrowingText {
 public:
  // `begin` is printed with the first token that follows, or at the end.
  GrowingText(const data::Tokenizer& tokenizer, std::vector<int64_t> begin)
      : tokenizer_(tokenizer), tokens_(std::move(begin)) {}

  void add(int64_t token) {
    tokens_.push_back(token);
    print();
    std::fflush(stdout);
  }
  void end() {
    print();
    std::printf("\n");
  }

 private:
  void print() {
    std::string text = decode_text(tokenizer_, {tokens_.begin(), tokens_.end() - unfinished()});
    if (text.size() > printed_) {
      std::string more = data::utf8_mended(std::string_view(text).substr(printed_));
      std::fwrite(more.data(), 1, more.size(), stdout);
      printed_ = text.size();
    }
    // What comes later is decoded without the lines before it.
    if (!tokens_.empty() && tokens_.back() == data::kEos) {
      tokens_.clear();
      printed_ = 0;
    }
  }

  // Tokens at the end that are the first bytes of a character.
  std::ptrdiff_t unfinished() const {
    std::string bytes;
    for (auto token = tokens_.rbegin(); token != tokens_.rend() && bytes.size() < 4; ++token) {
      std::optional<unsigned char> byte = tokenizer_.byte(*token);
      if (!byte) break;
      bytes.insert(bytes.begin(), static_cast<char>(*byte));
    }
    return static_cast<std::ptrdiff_t>(data::utf8_unfinished(bytes));
  }

  const data::Tokenizer& tokenizer_;
  std::vector<int64_t> tokens_;  // of this line
  size_t printed_ = 0;           // bytes of it
};

void continue_text(const GenerateSettings& s, const models::LanguageModel& model,
                   const std::vector<int64_t>& prompt, GrowingText& out) {
  if (s.beam > 0) {
    models::BeamOptions options{.beam = s.beam, .length_extra = s.tokens, .rules = s.rules};
    auto lists = models::beam_search(model, {.prompts = {prompt}}, options);
    for (int64_t token : lists[0].front().tokens) out.add(token);
    return;
  }
  models::SampleOptions options{.max_tokens = s.tokens,
                                .temperature = s.temperature,
                                .top_k = s.top_k,
                                .top_p = s.top_p,
                                .seed = static_cast<uint64_t>(s.seed),
                                .rules = s.rules,
                                .on_token = [&](int64_t, int64_t token) { out.add(token); }};
  models::generate(model, prompt, options);
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
  GrowingText out(tokenizer, std::move(text));
  continue_text(s, *saved.model, prompt, out);
  out.end();
  return 0;
}

}  // namespace heed::examples
