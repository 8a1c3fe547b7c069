// The attention of a translation as a page to explore.
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
}  // namespace

bool save_attention(const models::Transformer& model, const data::Tokenizer& tokenizer,
                    const std::string& source, const std::string& translation,
                    const std::string& file) {
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
