// Writes one picture of each kind into a directory, with the given tokens wherever a text can
// stand: `viz_pictures DIRECTORY TOKEN...`. For the scripts beside this file, which read them.
#include <cstdio>
#include <string>
#include <vector>

#include <heed/core/error.h>
#include <heed/viz/attention_maps.h>
#include <heed/viz/attention_page.h>
#include <heed/viz/chart.h>
#include <heed/viz/picture_page.h>

using namespace heed;
using namespace heed::viz;

namespace {
// [heads, t, s], all different, each row with sum 1.
Array weights(int64_t heads, int64_t t, int64_t s) {
  Array a = Array::empty({heads, t, s}, DType::f32, kCpu);
  for (int64_t h = 0; h < heads; ++h)
    for (int64_t i = 0; i < t; ++i) {
      float* row = a.data<float>() + (h * t + i) * s;
      float sum = 0;
      for (int64_t j = 0; j < s; ++j)
        sum += row[j] = 1 / (1 + static_cast<float>((i - j) * (i - j) + h + j % 2));
      for (int64_t j = 0; j < s; ++j) row[j] /= sum;
    }
  return a;
}

Array first(const Array& a) { return Array::from(a.data<float>(), {a.dim(1), a.dim(2)}); }

void write(const std::string& directory, const std::vector<std::string>& tokens) {
  auto n = static_cast<int64_t>(tokens.size());
  Array square = weights(1, n, n);
  std::vector<AttentionMap> maps;
  for (const std::string& token : tokens) maps.push_back({first(square), token, tokens, tokens});
  maps.resize(std::min<size_t>(maps.size(), 4));
  draw_maps(maps).save(directory + "/maps.svg");
  draw_maps({{first(weights(1, 90, 70)), tokens[0]}}, {.cell = 3, .max = 0.5})
      .save(directory + "/large_map.svg");

  std::vector<Line> lines;
  std::vector<Bars> bars;
  for (size_t i = 0; i < std::min<size_t>(8, tokens.size()); ++i) {
    auto x = static_cast<double>(i);
    lines.push_back({tokens[i], {0, 300, 700, 1000}, {8 - x, 6, 5 + x / 4, 2.5 + x / 2}});
    bars.push_back({tokens[i], {90 - 5 * x, 4 * x, 0.3 * x}});
  }
  ChartOptions text{.title = tokens[0], .x_label = tokens[0], .y_label = tokens[0]};
  draw_lines(lines, text).save(directory + "/lines.svg");
  draw_bars({tokens[0], "middle", "long"}, bars, text).save(directory + "/bars.svg");

  std::vector<std::string> few(tokens.begin(), tokens.begin() + 3);
  std::vector<AttentionGroup> groups = {
      {"cross", few, tokens, {weights(2, 3, n), weights(3, 3, n)}},
      {tokens[0], tokens, tokens, {weights(2, n, n)}}};
  save_attention_page(directory + "/page.html", groups, {.title = tokens[0], .lines = tokens});

  Array picture = Array::zeros({20, 30, 3}, DType::u8, kCpu);
  PicturePanel panel{picture, tokens[0], tokens, PictureRegion{3, 4, 5, 5}, {}};
  for (const std::string& token : tokens) panel.maps.push_back({token, first(weights(1, 4, 5))});
  save_picture_page(directory + "/pictures.html", {panel, panel},
                    {.title = tokens[0], .lines = tokens});
}
}  // namespace

int main(int argc, char** argv) try {
  if (argc < 5) throw ValueError("viz_pictures DIRECTORY TOKEN TOKEN TOKEN...");
  write(argv[1], {argv + 2, argv + argc});
} catch (const std::exception& error) {
  std::fprintf(stderr, "viz_pictures: %s\n", error.what());
  return 1;
}
