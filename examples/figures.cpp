// Draws the pictures of the documentation: figures [DIRECTORY], `docs/figures` by default.
//   order_of_products.svg   dense and efficient attention as products of matrices, with their sizes
//   NAME.svg                the map of each variant, beside dense attention on the same tokens
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
#include <heed/nn/attention/catalog.h>
#include <heed/nn/attention/score_map.h>
#include <heed/viz/attention_maps.h>

#include "common/program.h"

using namespace heed;
using viz::Color;
using viz::Svg;

namespace {

constexpr Color kBlue{120, 160, 210}, kOrange{240, 170, 100}, kGreen{140, 195, 140},
    kRed{225, 120, 110};

// Matrices in a row, their middles on one line, each with its name inside and its size below.
class Row {
 public:
  Row(Svg& svg, double x, double middle) : svg_(svg), x_(x), middle_(middle) {}

  Row& matrix(const std::string& name, const std::string& size, double width, double height,
              Color color) {
    double room = std::max(width + 24, 84.0);  // 84: for the size below
    double center = x_ + room / 2;
    svg_.rect(center - width / 2, middle_ - height / 2, width, height, color);
    svg_.frame(center - width / 2, middle_ - height / 2, width, height, viz::kInk);
    svg_.text(center, middle_, name, {.size = 17, .anchor = viz::Anchor::middle});
    svg_.text(center, middle_ + height / 2 + 12, size,
              {.size = 11, .color = viz::kFaint, .anchor = viz::Anchor::middle});
    x_ += room;
    return *this;
  }
  Row& sign(const std::string& text) {
    constexpr double kRoom = 16;
    svg_.text(x_ + kRoom / 2, middle_, text, {.size = 20, .anchor = viz::Anchor::middle});
    x_ += kRoom;
    return *this;
  }

 private:
  Svg& svg_;
  double x_, middle_;
};

std::string size_of(int64_t rows, int64_t columns) { return str(rows, " × ", columns); }

std::string bytes_of(int64_t numbers) {
  int64_t kib = numbers * 4 / 1024;
  return kib >= 1024 ? str(kib / 1024, " MiB") : str(kib, " KiB");
}

void order_of_products(const std::string& path) {
  constexpr int64_t n = 4096, d = 64;
  constexpr double long_side = 150, short_side = 28;
  Svg svg(820, 520, "dense attention makes a map of N x N, efficient attention one of d x d");
  auto title = [&](double y, const std::string& what, int64_t held, double operations) {
    char billions[32];
    std::snprintf(billions, sizeof billions, "%.2f", operations * 1e-9);
    svg.text(24, y, what, {.size = 18});
    svg.text(24, y + 24,
             str("in between: ", bytes_of(held), " in float32; ", billions,
                 " billion operations; one head, ", n, " tokens, width ", d),
             {.color = viz::kFaint});
  };
  const std::string tall = size_of(n, d), wide = size_of(d, n);

  title(30, "dense: softmax(Q Kᵀ) V", n * n, 4.0 * n * n * d);
  double middle = 160;
  Row(svg, 20, middle)
      .sign("(")
      .matrix("Q", tall, short_side, long_side, kBlue)
      .matrix("Kᵀ", wide, long_side, short_side, kOrange)
      .sign(")")
      .matrix("V", tall, short_side, long_side, kGreen)
      .sign("=")
      .matrix("S", size_of(n, n), long_side, long_side, kRed)
      .matrix("V", tall, short_side, long_side, kGreen)
      .sign("=")
      .matrix("O", tall, short_side, long_side, kBlue);

  title(290, "efficient: softmax(Q) (softmax(K)ᵀ V)", d * d, 4.0 * n * d * d);
  Row(svg, 20, middle + 260)
      .matrix("Q", tall, short_side, long_side, kBlue)
      .sign("(")
      .matrix("Kᵀ", wide, long_side, short_side, kOrange)
      .matrix("V", tall, short_side, long_side, kGreen)
      .sign(")")
      .sign("=")
      .matrix("Q", tall, short_side, long_side, kBlue)
      .matrix("G", size_of(d, d), short_side, short_side, kRed)
      .sign("=")
      .matrix("O", tall, short_side, long_side, kBlue);
  svg.save(path);
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
                            {"gaussian", ""},
                            {"embedded_gaussian", ""},
                            {"dot_product", ""},
                            {"concatenation", ""},
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
  nn::AttentionCall call;
  call.random = {1, 0};
  return attention->weights(x, x, call, nn::all_rows(x.dim(2)))[0][0];  // [N, N]
}

void draw(const Shown& shown, const std::string& directory) {
  constexpr int64_t n = 48, width = 16;
  Tensor x = tokens(n, width);
  std::string name = shown.name, options = shown.options;
  std::string spec = options.empty() ? name : name + ":" + options;
  std::vector<viz::AttentionMap> maps;
  auto add = [&](const std::string& title, const Tensor& map) {
    if (map.defined()) maps.push_back({map.array(), title});
  };
  if (name != "dense") add("dense", map_of("dense", x, false));
  add(spec, map_of(spec, x, false));
  if (nn::make_attention(spec, {.head_dim = width, .value_dim = width, .max_length = n})
          ->traits()
          .causal)
    add(name + ", causal", map_of(spec, x, true));
  viz::draw_maps(maps, {.cell = 6, .grid_columns = static_cast<int>(maps.size()), .max = 0.12})
      .save(directory + "/" + name + ".svg");
}

}  // namespace

int main(int argc, char** argv) {
  return examples::run_program("figures", [&] {
    if (argc > 2 || (argc == 2 && argv[1][0] == '-'))
      throw ValueError("figures [DIRECTORY]: one directory expected");
    std::string directory = argc == 2 ? argv[1] : "docs/figures";
    std::filesystem::create_directories(directory);
    order_of_products(directory + "/order_of_products.svg");
    for (const Shown& shown : kShown) draw(shown, directory);
    std::printf("%zu pictures in %s\n", std::size(kShown) + 1, directory.c_str());
    return 0;
  });
}
