#include "saved_model.h"

#include <heed/core/error.h>
#include <heed/data/utf8.h>
#include <heed/train/checkpoint.h>

#include "corpus.h"

namespace heed::examples {

namespace {
// The average, unless the run went on since it was made.
std::filesystem::path choose(const std::filesystem::path& path) {
  std::filesystem::path last = train::find_checkpoint(path);
  if (last == path || !std::filesystem::exists(path / kAverage / "last")) return last;
  std::filesystem::path average = train::find_checkpoint(path / kAverage);
  bool older = train::read_train_state(average).step < train::read_train_state(last).step;
  return older ? last : average;
}
}  // namespace

SavedModel load_model(const std::filesystem::path& path) {
  SavedModel saved;
  saved.directory = choose(path);
  std::string config = train::read_config(saved.directory);
  try {
    saved.model = std::make_unique<models::Transformer>(models::transformer_from_json(config));
  } catch (const ValueError& error) {
    throw ValueError(str(saved.directory.string(), ": ", error.what()));
  }
  saved.tokenizer = data::load_tokenizer(saved.directory / kTokenizer);
  if (saved.tokenizer->size() != saved.model->config().vocab)
    throw ValueError(str(saved.directory.string(), ": a tokenizer of ", saved.tokenizer->size(),
                         " tokens for a model of ", saved.model->config().vocab));
  train::load_checkpoint(saved.directory, *saved.model);
  saved.model->eval();
  return saved;
}

std::vector<std::string> translate_lines(
    const models::Transformer& model, const data::Tokenizer& tokenizer,
    const std::vector<std::string>& lines, const models::DecodeOptions& options,
    const std::function<void(int64_t done, int64_t total)>& progress) {
  std::vector<std::vector<int64_t>> sources;
  std::vector<size_t> where;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (data::is_blank(lines[i])) continue;
    sources.push_back(encode_source(tokenizer, lines[i]));
    where.push_back(i);
  }
  auto total = static_cast<int64_t>(sources.size());
  auto best = models::translate(model, sources, options, [&](int64_t done) {
    if (progress) progress(done, total);
  });
  std::vector<std::string> out(lines.size());
  for (size_t i = 0; i < best.size(); ++i) out[where[i]] = tokenizer.decode(best[i].tokens);
  return out;
}

}  // namespace heed::examples
