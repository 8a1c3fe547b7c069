// Attention maps of a translation as pictures.
#include <heed/data/heatmap.h>
#include <heed/models/attention_maps.h>

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

std::vector<std::filesystem::path> draw_attention(const models::Transformer& model,
                                                  const data::Tokenizer& tokenizer,
                                                  const std::string& source,
                                                  const std::string& translation,
                                                  const std::filesystem::path& directory) {
  std::filesystem::create_directories(directory);
  std::vector<int64_t> from = encode_source(tokenizer, source), to = tokenizer.encode(translation);
  to.insert(to.begin(), data::kBos);
  auto s = static_cast<int64_t>(from.size()), t = static_cast<int64_t>(to.size());
  models::AttentionMaps maps =
      models::attention_maps(model, Tensor::from(from, {1, s}), {s}, Tensor::from(to, {1, t}));
  std::vector<std::string> source_words = pieces(tokenizer, from),
                           target_words = pieces(tokenizer, to);

  std::vector<std::filesystem::path> files;
  auto draw = [&](const char* kind, const std::vector<Tensor>& layers, const auto& rows,
                  const auto& columns) {
    for (size_t layer = 0; layer < layers.size(); ++layer) {
      std::vector<data::AttentionMap> heads;
      for (int64_t h = 0; h < layers[layer].dim(1); ++h)
        heads.push_back({layers[layer][0][h].array(),
                         str(kind, ", layer ", layer + 1, ", head ", h + 1), rows, columns});
      files.push_back(directory / str(kind, "-layer", layer + 1, ".png"));
      data::write_heatmaps(files.back(), heads);
    }
  };
  draw("encoder", maps.encoder, source_words, source_words);
  draw("decoder", maps.decoder, target_words, target_words);
  draw("cross", maps.cross, target_words, source_words);
  return files;
}

}  // namespace heed::examples
