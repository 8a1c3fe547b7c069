#include "saved_model.h"

#include <heed/data/utf8.h>
#include <heed/models/translate.h>

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

SavedTranslator load_translator(const std::filesystem::path& path) {
  return load_model<models::Transformer>(choose(path), models::transformer_from_json);
}

std::vector<std::string> translate_lines(
    const models::Transformer& model, const data::Tokenizer& tokenizer,
    const std::vector<std::string>& lines, const models::BeamOptions& options,
    const std::function<void(int64_t done, int64_t total)>& progress) {
  std::vector<std::vector<int64_t>> sources;
  std::vector<size_t> where;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (data::is_blank(lines[i])) continue;
    std::vector<int64_t> source = encode_source(tokenizer, lines[i]);
    if (source.size() == 1) continue;  // eos alone
    sources.push_back(std::move(source));
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
