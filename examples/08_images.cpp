// Images and non-local blocks step by step: a small picture becomes tokens, each pixel looks at all
// others, and efficient attention does the same without a map of pixels x pixels.
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <heed/core/xtensor.h>
#include <heed/heed.h>

#include "common/program.h"

using namespace heed;

constexpr int64_t kSide = 16, kChannels = 3;

double largest_difference(const Tensor& a, const Tensor& b) {
  return max(abs(a - b).reshape({-1}), 0).item();
}

// MiB that a forward pass takes at its peak, above what is there already.
double peak_of(const std::string& attention, const Tensor& x) {
  nn::NonLocalBlock block(x.dim(1), {.attention = attention});
  int64_t before = memory_stats().current_bytes;
  reset_peak_memory();
  block.forward(x);
  return static_cast<double>(memory_stats().peak_bytes - before) / (1 << 20);
}

int main() {
  return examples::run_program("08_images", [] {
    manual_seed(1);
    NoGrad guard;

    // 1. A picture, made with xtensor: a red disc and a red square at opposite ends, a green disc.
    xt::xtensor<int, 1> steps = xt::arange<int>(kSide);
    auto x = xt::view(steps, xt::newaxis(), xt::all());
    auto y = xt::view(steps, xt::all(), xt::newaxis());
    using Plane = xt::xtensor<bool, 2>;  // [rows, columns]: which pixels are of a thing
    Plane disc = (x - 3) * (x - 3) + (y - 3) * (y - 3) <= 7;
    Plane square = x >= 10 && x < 15 && y >= 10 && y < 15;
    Plane green = (x - 12) * (x - 12) + (y - 3) * (y - 3) <= 5;
    const std::vector<Plane> things = {disc, square, green, !(disc || square || green)};
    const float red_rgb[] = {210, 60, 60}, green_rgb[] = {60, 180, 80};
    xt::xtensor<float, 3> picture = xt::zeros<float>({kChannels, kSide, kSide});
    xt::xtensor<float, 3> normal = picture;
    for (size_t c = 0; c < kChannels; ++c) {
      auto from = xt::view(picture, c), to = xt::view(normal, c);
      from = xt::where(disc || square, red_rgb[c],
                       xt::where(green, green_rgb[c], 70.0f + 2.0f * (x + y)));
      to = from - xt::mean(from)();  // as networks want it: mean 0, deviation 1
      to /= std::sqrt(xt::mean(to * to)());
    }

    // 2. Each pixel is a token; its channels are the token's vector.
    Tensor image = Tensor(from_xtensor(normal)).unsqueeze(0);                      // [1, C, H, W]
    Tensor tokens = image[0].reshape({kChannels, kSide * kSide}).transpose(0, 1);  // [N, C]
    std::printf("picture %s = [batch, channels, rows, columns], tokens %s = [pixels, channels]\n",
                to_string(image.shape()).c_str(), to_string(tokens.shape()).c_str());

    // 3. A block z = x + W y is born as the identity (W = 0), so that it can join a trained
    // network. Training moves it; here we set theta and phi, which make queries and keys, to the
    // identity: a pixel looks for its own colour. W is random.
    nn::NonLocalConfig config{.inner_channels = kChannels, .batch_norm = false, .bias = false};
    nn::NonLocalBlock gaussian(kChannels, config);  // the default: embedded_gaussian
    config.attention = "efficient";
    nn::NonLocalBlock efficient(kChannels, config);
    std::printf("a new block: largest |block(x) - x| = %g\n",
                largest_difference(gaussian.forward(image), image));
    nn::init::normal_(gaussian.w.weight);
    for (nn::NonLocalBlock* block : {&gaussian, &efficient}) {
      block->theta->weight.copy_(eye(kChannels));
      block->phi->weight.copy_(eye(kChannels));
      block->g.weight.copy_(gaussian.g.weight);
      block->w.weight.copy_(gaussian.w.weight);
    }

    // 4. By hand. Scores are dot products; softmax makes weights of each pixel's N scores.
    Tensor q = gaussian.theta->forward(tokens), k = gaussian.phi->forward(tokens);  // [N, D]
    Tensor v = gaussian.g.forward(tokens);                                          // [N, D]
    auto add_to_image = [&](const Tensor& mixed) {  // [N, D] -> x + W y, as an image
      return (tokens + gaussian.w.forward(mixed)).transpose(0, 1).reshape(image.shape());
    };
    Tensor weights = softmax(matmul(q, k.transpose(0, 1)), 1);  // [N, N]
    std::printf("by hand and by the block, largest difference: embedded_gaussian %.1e",
                largest_difference(add_to_image(matmul(weights, v)), gaussian.forward(image)));

    // 5. Efficient attention: softmax of keys over pixels, of queries over channels. Key channel d
    // is one map of the whole picture, which gathers one global context vector; each pixel mixes
    // these D vectors. Keys meet values first, and no map of N x N exists.
    Tensor gather = softmax(k, 0).transpose(0, 1);  // [D, N]
    Tensor context = matmul(gather, v);             // [D, D], a row is a context vector
    Tensor mix = softmax(q, 1);                     // [N, D]
    std::printf(", efficient %.1e\n",
                largest_difference(add_to_image(matmul(mix, context)), efficient.forward(image)));
    for (int64_t d = 0; d < kChannels; ++d) {
      std::printf("context vector %lld:", static_cast<long long>(d));
      for (double number : context[d].to_vector()) std::printf("%6.2f", number);
      std::printf("\n");
    }

    // 6. What does a pixel attend to? The map that efficient attention implies, mix * gather, has
    // rank D = 3 at most: all pixels share three ways to look.
    const std::vector<int64_t> pixels = {3 * kSide + 3, 3 * kSide + 12, 13 * kSide + 3};
    const char* const who[] = {"red disc", "green disc", "background"};
    auto map_of = [](const Tensor& w) { return w.contiguous().array().view({kSide, kSide}); };
    std::printf("\n%-29s%12s%12s%12s%12s\n", "a pixel of .. attends to", "red disc", "red square",
                "green disc", "background");
    std::vector<viz::PicturePanel> panels;
    Array shown = from_xtensor(xt::cast<uint8_t>(xt::transpose(picture, {1, 2, 0})));  // [H, W, 3]
    for (size_t i = 0; i < pixels.size(); ++i) {
      viz::PictureRegion pixel{pixels[i] % kSide, pixels[i] / kSide};
      panels.push_back({shown, str("a pixel of the ", who[i]), {}, pixel});
      for (auto [name, block] :
           {std::pair{"embedded_gaussian", &gaussian}, {"efficient", &efficient}}) {
        Array map = map_of(block->weights(image, {pixels[i]}));  // [H, W]
        panels.back().maps.push_back({name, map});
        std::printf("%-11s%-18s", who[i], name);
        for (const Plane& thing : things)
          std::printf("%10.1f %%", 100 * xt::sum(as_xtensor<float, 2>(map) * thing)());
        std::printf("\n");
      }
    }
    panels.push_back({shown, "what the context vectors of efficient gather"});
    for (int64_t d = 0; d < kChannels; ++d)
      panels.back().maps.push_back({str("channel ", d), map_of(gather[d])});
    viz::save_picture_page("non_local.html", panels, {.title = "What a pixel attends to"});

    // 7. On larger pictures. The fused kernel of embedded_gaussian never stores its map either
    // (form=naive does), but it computes all N x N scores; efficient needs N x D x D products.
    Tensor large = randn({1, 64, 64, 64});
    std::printf("\na map of N x N: 64 x 64 pixels %lld bytes, 256 x 256 pixels %lld bytes\n",
                64LL * 64 * 64 * 64 * 4, 256LL * 256 * 256 * 256 * 4);
    std::printf("32 context vectors: %d bytes, whatever the size\n", 32 * 32 * 4);
    std::printf("peak of a block, 64 channels (32 inside), on 64 x 64 pixels:");
    for (const char* attention : {"embedded_gaussian:form=naive", "embedded_gaussian", "efficient"})
      std::printf("\n  %-30s%6.1f MiB", attention, peak_of(attention, large));
    std::printf("\n\nwritten: non_local.html\n");
    return 0;
  });
}
