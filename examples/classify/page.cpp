#include "page.h"

#include <algorithm>
#include <cstdio>
#include <numeric>

#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/data/image_statistics.h>
#include <heed/models/attention_maps.h>

namespace heed::examples {

namespace {
constexpr int64_t kMostMaps = 64;  // more heads than that are shown as their mean

Tensor batch_of(const Classifier& classifier, const data::ImageInfo& info, const Array& image) {
  return classifier.input(data::normalise(image, info.statistics).unsqueeze(0));
}

Array packed(const Array& a) { return Tensor(a).contiguous().array(); }

// u8 [C, H, W] -> [H, W] or [H, W, 3]; the frames of a clip [C, T, H, W] stand side by side.
Array shown(const Array& image) {
  Array clip = image.rank() == 4 ? image : image.unsqueeze(1);
  int64_t channels = clip.dim(0), frames = clip.dim(1), height = clip.dim(2), width = clip.dim(3);
  Array pixels = packed(clip.permute({2, 1, 3, 0})).view({height, frames * width, channels});
  return channels == 1 ? pixels.select(2, 0) : pixels;
}

// [rows, columns], or [map frames, rows, columns] -> a map for each of the clip's frames side by
// side: that of the map's frame that the clip's frame lies in.
Array map_of(const Tensor& weights, int64_t frames) {
  if (weights.rank() == 2) return weights.to(kCpu).array();
  std::vector<int64_t> which;
  for (int64_t f = 0; f < frames; ++f) which.push_back(f * weights.dim(0) / frames);
  Array a = index_select(weights, 0, which).to(kCpu).array();
  int64_t rows = a.dim(1), columns = a.dim(0) * a.dim(2);
  return packed(a.permute({1, 0, 2})).view({rows, columns});
}

// [H, ..] -> one map a head, or their mean.
void add_maps(std::vector<viz::PictureMap>& maps, const std::string& title, const Tensor& heads,
              int64_t frames, bool mean_only) {
  int64_t count = heads.dim(0);
  if (mean_only && count > 1) {
    maps.push_back({str(title, ", mean of ", count, " heads"), map_of(mean(heads, {0}), frames)});
    return;
  }
  for (int64_t h = 0; h < count; ++h)
    maps.push_back(
        {count == 1 ? title : str(title, ", head ", h + 1), map_of(select(heads, 0, h), frames)});
}

void add_vit(viz::PicturePanel& panel, const models::ViT& vit, const Tensor& images,
             const Pixel& pixel, bool class_token) {
  int64_t patch = vit.config().patch, token = 0;
  int64_t row = pixel.second / patch, column = pixel.first / patch;
  if (!class_token) {
    token = vit.first_patch() + row * vit.grid().columns + column;
    panel.query = viz::PictureRegion{column * patch, row * patch, patch, patch};
  }
  std::vector<Tensor> layers = models::attention_maps(vit, images);
  int64_t maps = 0;
  for (const Tensor& layer : layers) maps += layer.dim(1);
  for (size_t i = 0; i < layers.size(); ++i)
    add_maps(panel.maps, str("layer ", i + 1),
             select(models::patch_weights(vit, layers[i], token), 0, 0), 1, maps > kMostMaps);
}

void add_resnet(viz::PicturePanel& panel, const models::ResNet& resnet, const data::ImageInfo& info,
                const Tensor& images, const Pixel& pixel) {
  int64_t frame = info.frames() / 2;  // 0 of a picture
  Shape size{info.height(), info.width()}, where{pixel.second, pixel.first};
  if (info.of_clips()) {
    size = {info.frames(), info.height(), info.width()};
    where = {frame, pixel.second, pixel.first};
  }
  for (int64_t i = 0; i < resnet.slots(); ++i) {
    if (!resnet.slot(i).attention().traits().weights) continue;
    int64_t position = models::slot_position(resnet, i, size, where);
    auto [weights, map] = models::slot_weights(resnet, images, i, {position});
    Tensor heads = select(select(weights, 0, 0), 1, 0);  // [H, ..size of the keys' map]
    int64_t rows = map.dim(-2), columns = map.dim(-1);
    add_maps(panel.maps, str("slot ", i + 1, ", map ", rows, " x ", columns), heads, info.frames(),
             false);
    if (panel.query) continue;  // the frame is a cell of the deepest map, the largest one
    int64_t row = position / columns % rows, column = position % columns;
    int64_t height = std::max<int64_t>(1, info.height() / rows);
    int64_t width = std::max<int64_t>(1, info.width() / columns);
    int64_t left = std::min(column * info.width() / columns, info.width() - width);
    int64_t top = std::min(row * info.height() / rows, info.height() - height);
    panel.query = viz::PictureRegion{frame * info.width() + left, top, width, height};
  }
}
}  // namespace

std::vector<Guess> best_guesses(const Classifier& classifier, const data::ImageInfo& info,
                                const Array& image, int64_t count) {
  NoGrad guard;
  Tensor logits = classifier.forward(batch_of(classifier, info, image));
  std::vector<double> p = softmax(logits.to(DType::f64), -1).to_vector();
  std::vector<size_t> order(p.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return p[a] > p[b]; });
  std::vector<Guess> best;
  for (size_t i = 0; i < std::min(order.size(), static_cast<size_t>(count)); ++i)
    best.push_back({info.class_names[order[i]], p[order[i]]});
  return best;
}

std::string to_string(const Guess& guess) {
  char text[32];
  std::snprintf(text, sizeof text, " %.1f %%", 100 * guess.probability);
  return "\u2068" + guess.name + "\u2069" + text;  // isolates: a name may run from right to left
}

viz::PicturePanel panel_of(const Classifier& classifier, const data::ImageInfo& info,
                           const Array& image, const std::string& title,
                           const std::optional<Pixel>& query) {
  NoGrad guard;
  if (query && (query->first < 0 || query->first >= info.width() || query->second < 0 ||
                query->second >= info.height()))
    throw ValueError(str("--query ", query->first, ",", query->second, ": X from 0 to ",
                         info.width() - 1, " and Y from 0 to ", info.height() - 1, " expected"));
  viz::PicturePanel panel;
  panel.picture = shown(image);
  if (info.of_clips()) panel.frames = info.frames();
  panel.title = title;
  Tensor images = batch_of(classifier, info, image);
  Pixel pixel = query.value_or(Pixel{info.width() / 2, info.height() / 2});
  const models::ViT* vit = classifier.vit();
  bool class_token = vit && !query && vit->first_patch() > 0;
  if (vit) add_vit(panel, *vit, images, pixel, class_token);
  else add_resnet(panel, *classifier.resnet(), info, images, pixel);
  if (panel.maps.empty()) return panel;
  std::string who = class_token
                        ? "the class token"
                        : str("the pixel ", pixel.first, ",", pixel.second,
                              info.of_clips() ? str(" of frame ", info.frames() / 2 + 1) : "",
                              ", in the blue frame,");
  panel.lines.push_back(str("What ", who, " attends to: the more orange, the larger the weight."));
  return panel;
}

void print_page(const std::vector<viz::PicturePanel>& panels, const std::string& file) {
  viz::save_picture_page(file, panels, {.title = "What the model looks at"});
  bool maps = !panels.front().maps.empty();
  std::printf("%s: %s\n", maps ? "what it looks at" : "no attention weights to show; the pictures",
              file.c_str());
}

}  // namespace heed::examples
