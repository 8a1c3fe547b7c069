// Draws the pictures of the documentation: figures [DIRECTORY], `docs/figures` by default.
//   order_of_products.png   dense and efficient attention as products of matrices, with their sizes
//   NAME.png                the map of each variant, beside dense attention on the same tokens
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/data/draw.h>
#include <heed/data/heatmap.h>
#include <heed/data/images.h>
#include <heed/nn/attention/catalog.h>

#include "common/program.h"

using namespace heed;
using data::Canvas;
using data::Color;

namespace {

constexpr Color kInk{40, 44, 52}, kFaint{120, 126, 136}, kBlue{120, 160, 210},
    kOrange{240, 170, 100}, kGreen{140, 195, 140}, kRed{225, 120, 110};

// Matrices in a row, their middles on one line, each with its name inside and its size below.
class Row {
 public:
  Row(Canvas& canvas, int x, int middle) : canvas_(canvas), x_(x), middle_(middle) {}

  Row& matrix(const std::string& name, const std::string& size, int width, int height, Color c) {
    int y = middle_ - height / 2, wide = std::max(width, data::text_width(size));
    int left = x_ + (wide - width) / 2;
    canvas_.fill(left, y, width, height, c);
    canvas_.frame(left, y, width, height, kInk);
    int name_x = left + (width - data::text_width(name, 2)) / 2;
    // A name that does not fit inside stands above.
    bool fits = data::text_width(name, 2) + 4 <= width && height >= 20;
    canvas_.text(name_x, fits ? middle_ - 7 : y - 20, name, kInk, 2);
    canvas_.text(x_ + (wide - data::text_width(size)) / 2, y + height + 6, size, kFaint);
    x_ += wide + 12;
    return *this;
  }
  Row& sign(const std::string& text) {
    canvas_.text(x_, middle_ - 7, text, kInk, 2);
    x_ += data::text_width(text, 2) + 12;
    return *this;
  }

 private:
  Canvas& canvas_;
  int x_, middle_;
};

std::string size_of(int64_t rows, int64_t columns) { return str(rows, " x ", columns); }

std::string bytes_of(int64_t numbers) {
  int64_t kib = numbers * 4 / 1024;
  return kib >= 1024 ? str(kib / 1024, " MiB") : str(kib, " KiB");
}

void order_of_products(const std::string& path) {
  constexpr int64_t n = 4096, d = 64;
  constexpr int long_side = 150, short_side = 26;
  Canvas canvas(720, 540);
  auto title = [&](int y, const std::string& what, int64_t held, double operations) {
    char billions[32];
    std::snprintf(billions, sizeof billions, "%.2f", operations * 1e-9);
    canvas.text(30, y, what, kInk, 2);
    canvas.text(30, y + 24,
                str("in between: ", bytes_of(held), " in float32; ", billions,
                    " billion operations; one head, ", n, " tokens, width ", d),
                kFaint);
  };
  const std::string tall = size_of(n, d), wide = size_of(d, n);

  title(24, "dense: softmax(Q K^T) V", n * n, 4.0 * n * n * d);
  int middle = 160;
  Row(canvas, 30, middle)
      .sign("(")
      .matrix("Q", tall, short_side, long_side, kBlue)
      .matrix("K^T", wide, long_side, short_side, kOrange)
      .sign(")")
      .matrix("V", tall, short_side, long_side, kGreen)
      .sign("=")
      .matrix("S", size_of(n, n), long_side, long_side, kRed)
      .matrix("V", tall, short_side, long_side, kGreen)
      .sign("=")
      .matrix("O", tall, short_side, long_side, kBlue);

  title(294, "efficient: softmax(Q) (softmax(K)^T V)", d * d, 4.0 * n * d * d);
  Row(canvas, 30, middle + 270)
      .matrix("Q", tall, short_side, long_side, kBlue)
      .sign("(")
      .matrix("K^T", wide, long_side, short_side, kOrange)
      .matrix("V", tall, short_side, long_side, kGreen)
      .sign(")")
      .sign("=")
      .matrix("Q", tall, short_side, long_side, kBlue)
      .matrix("G", size_of(d, d), short_side, short_side, kRed)
      .sign("=")
      .matrix("O", tall, short_side, long_side, kBlue);
  data::write_png(path, canvas.image());
}

struct Shown {
  const char* name;
  const char* options;  // small, so that what the variant does can be seen on 48 tokens
};

constexpr Shown kShown[] = {{"dense", ""},
                            {"efficient", ""},
                            {"window", "left=4,right=4,globals=2"},
                            {"block_sparse", "block=6,window=1"},
                            {"bigbird", "block=4,window=1,globals=1,random=1"},
                            {"strided", "block=1,stride=8,local=8"},
                            {"topk", "k=6"},
                            {"lsh", "rounds=2,buckets=4,chunk=8"},
                            {"linear", ""},
                            {"performer", "features=64"},
                            {"linformer", "k=12"},
                            {"nystrom", "landmarks=8"},
                            {"svd", "rank=4"},
                            {"additive", ""},
                            {"luong", "score=general"}};

// Tokens that change slowly and come back to where they were: a map with a band and repeats.
Tensor tokens(int64_t n, int64_t width) {
  std::vector<double> x;
  for (int64_t i = 0; i < n; ++i)
    for (int64_t c = 0; c < width; ++c) {
      double t = static_cast<double>(i) / static_cast<double>(n);
      x.push_back(std::sin(2 * M_PI * t * (1 + static_cast<double>(c % 4)) +
                           1.7 * static_cast<double>(c * c % 11)));
    }
  return Tensor::from(x, {1, 1, n, width});
}

Tensor map_of(const std::string& spec, const Tensor& x, bool causal) {
  manual_seed(3);
  nn::AttentionConfig config{
      .head_dim = x.dim(3), .value_dim = x.dim(3), .max_length = x.dim(2), .causal = causal};
  auto attention = nn::make_attention(spec, config);
  if (!attention->traits().weights) return {};
  std::vector<int64_t> rows;
  for (int64_t i = 0; i < x.dim(2); ++i) rows.push_back(i);
  nn::AttentionCall call;
  call.random = {1, 0};
  return attention->weights(x, x, call, rows)[0][0];  // [N, N]
}

void draw(const Shown& shown, const std::string& directory) {
  constexpr int64_t n = 48, width = 16;
  Tensor x = tokens(n, width);
  std::string name = shown.name, options = shown.options;
  std::string spec = options.empty() ? name : name + ":" + options;
  std::vector<data::AttentionMap> maps;
  auto add = [&](const std::string& title, const Tensor& map) {
    if (map.defined()) maps.push_back({map.array(), title});
  };
  if (name != "dense") add("dense", map_of("dense", x, false));
  add(spec, map_of(spec, x, false));
  if (nn::make_attention(spec, {.head_dim = width, .value_dim = width, .max_length = n})
          ->traits()
          .causal)
    add(name + ", causal", map_of(spec, x, true));
  data::write_heatmaps(directory + "/" + name + ".png", std::span<const data::AttentionMap>(maps),
                       {.cell = 6, .grid_columns = static_cast<int>(maps.size()), .max = 0.12});
}

}  // namespace

int main(int argc, char** argv) {
  return examples::run_program("figures", [&] {
    if (argc > 2 || (argc == 2 && argv[1][0] == '-'))
      throw ValueError("figures [DIRECTORY]: one directory expected");
    std::string directory = argc == 2 ? argv[1] : "docs/figures";
    std::filesystem::create_directories(directory);
    order_of_products(directory + "/order_of_products.png");
    for (const Shown& shown : kShown) draw(shown, directory);
    std::printf("%zu pictures in %s\n", std::size(kShown) + 1, directory.c_str());
    return 0;
  });
}
