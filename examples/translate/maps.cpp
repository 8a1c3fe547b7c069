// The attention of a translation as a page to explore.
#include <algorithm>
#include <optional>

#include <heed/models/attention_maps.h>
#include <heed/viz/attention_page.h>

#include "corpus.h"
#include "report.h"

namespace heed::examples {

namespace {
std::vector<std::string> pieces(const data::Tokenizer& tokenizer, const std::vector<int64_t>& ids) {
  std::vector<std::string> out;
  for (int64_t id : ids) out.push_back(tokenizer.piece(id));
  return out;
}

// Of the first 50 translations the first whose source has 8 to 16 tokens, which is neither trivial
// nor wide, or else the shortest that fits on a page.
std::optional<size_t> choose(const data::Tokenizer& tokenizer,
                             const std::vector<std::string>& sources,
                             const std::vector<std::string>& translations) {
  constexpr size_t kWidest = 200;  // tokens: 300 maps of such a sentence fit on a page
  std::optional<size_t> best;
  size_t shortest = kWidest + 1;
  for (size_t i = 0; i < std::min<size_t>(50, translations.size()); ++i) {
    if (translations[i].empty()) continue;
    size_t tokens = tokenizer.encode(sources[i]).size(),
           widest = std::max(tokens, tokenizer.encode(translations[i]).size());
    if (tokens >= 8 && tokens <= 16 && widest <= kWidest) return i;
    if (widest < shortest) {
      shortest = widest;
      best = i;
    }
  }
  return best;
}
}  // namespace

bool save_attention(const models::Transformer& model, const data::Tokenizer& tokenizer,
                    const std::vector<std::string>& sources,
                    const std::vector<std::string>& translations, const std::string& file) {
  std::optional<size_t> chosen = choose(tokenizer, sources, translations);
  if (!chosen) return false;
  const std::string &source = sources[*chosen], &translation = translations[*chosen];
  std::vector<int64_t> from = encode_source(tokenizer, source), to = tokenizer.encode(translation);
  to.insert(to.begin(), data::kBos);
  auto s = static_cast<int64_t>(from.size()), t = static_cast<int64_t>(to.size());
  models::AttentionMaps maps =
      models::attention_maps(model, Tensor::from(from, {1, s}), {s}, Tensor::from(to, {1, t}));
  std::vector<std::string> source_words = pieces(tokenizer, from),
                           target_words = pieces(tokenizer, to);

  std::vector<viz::AttentionGroup> groups;
  auto add = [&](const char* name, const std::vector<Tensor>& layers, const auto& rows,
                 const auto& columns) {
    if (layers.empty()) return;
    groups.push_back({name, rows, columns, {}});
    for (const Tensor& layer : layers) groups.back().layers.push_back(layer[0].to(kCpu).array());
  };
  add("cross: translation to source", maps.cross, target_words, source_words);
  add("encoder: source to source", maps.encoder, source_words, source_words);
  add("decoder: translation to translation", maps.decoder, target_words, target_words);
  if (groups.empty()) return false;
  viz::save_attention_page(
      file, groups,
      {.title = "Attention", .lines = {"source: " + source, "translation: " + translation}});
  return true;
}

}  // namespace heed::examples
