// `lm generate`: text from a trained language model, as it comes.
#include <cstdio>
#include <filesystem>

#include <heed/data/utf8.h>
#include <heed/train/checkpoint.h>

#include "../common/checks.h"
#include "settings.h"

namespace heed::examples {

int generate_command(const GenerateSettings& s) {
  set_threads(s.threads);
  if (size_t at = data::utf8_error(s.prompt); at != std::string_view::npos)
    throw ValueError(str("--prompt: invalid UTF-8 at byte ", at + 1));
  require_in_range({{"--tokens", s.tokens, 0}, {"--seed", s.seed, 0, kAnyHigh}});

  std::filesystem::path directory = train::find_checkpoint(s.model);
  std::string json = train::read_config(directory);
  models::LanguageModelConfig config;
  try {
    config = models::language_model_from_json(json);
  } catch (const ValueError& error) {
    throw ValueError(str(directory.string(), ": ", error.what()));
  }
  models::LanguageModel model(config);
  auto tokenizer = data::load_tokenizer(directory / "tokenizer");
  if (tokenizer->size() != config.vocab)
    throw ValueError(str(directory.string(), ": a tokenizer of ", tokenizer->size(),
                         " tokens for a model of ", config.vocab));
  train::load_checkpoint(directory, model);
  model.eval();

  // Without a prompt the model begins after the end of a line.
  bool bytes = std::string_view(tokenizer->kind()) == "byte";
  std::vector<int64_t> prompt = tokenizer->encode(s.prompt);
  if (prompt.empty()) prompt = bytes ? tokenizer->encode("\n") : std::vector<int64_t>{data::kEos};
  models::GenerateOptions options;
  options.max_tokens = s.tokens;
  options.temperature = s.temperature;
  options.top_k = s.top_k;
  options.top_p = s.top_p;
  options.seed = static_cast<uint64_t>(s.seed);
  std::vector<int64_t> text = tokenizer->encode(s.prompt), made = model.generate(prompt, options);
  text.insert(text.end(), made.begin(), made.end());
  std::printf("%s\n", decode_text(*tokenizer, text).c_str());
  return 0;
}

}  // namespace heed::examples
