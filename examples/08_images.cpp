// Images and non-local blocks step by step: a small picture becomes tokens, each pixel looks at all
// others, and efficient attention does the same without a map of pixels x pixels.
#include <cstdio>
#include <iostream>
#include <utility>
#include <vector>

#include <heed/core/xtensor.h>
#include <heed/heed.h>

#include "common/program.h"

using namespace heed;

constexpr int64_t kSide = 16, kChannels = 3;

double difference(const Tensor& a, const Tensor& b) {
  return max(abs(a - b).reshape({-1}), 0).item();
}

int main() {
  return examples::run_program("08_images", [] {
    manual_seed(1);
    NoGrad guard;

    // 1. A picture, made with xtensor: a red disc and a red square at opposite ends, a green disc.
    auto [y, x] = xt::meshgrid(xt::arange<int>(kSide), xt::arange<int>(kSide));
    using Plane = xt::xtensor<bool, 2>;  // [rows, columns]: which pixels are of a thing
    Plane disc = (x - 3) * (x - 3) + (y - 3) * (y - 3) <= 7;
    Plane square = x >= 10 && x < 15 && y >= 10 && y < 15;
    Plane green = (x - 12) * (x - 12) + (y - 3) * (y - 3) <= 5;
    const std::vector<Plane> things = {disc, square, green, !(disc || square || green)};
    const float red_rgb[] = {210, 60, 60}, green_rgb[] = {60, 180, 80};
    xt::xtensor<float, 3> picture = xt::zeros<float>({kChannels, kSide, kSide});
    for (size_t c = 0; c < kChannels; ++c)
      xt::view(picture, c) = xt::where(disc || square, red_rgb[c],
                                       xt::where(green, green_rgb[c], 70.0f + 2.0f * (x + y)));

    // 2. Networks want each channel with mean 0 and deviation 1 (its own group of a group norm).
    // Each pixel is a token; its channels are the token's vector.
    Tensor image = group_norm(Tensor(from_xtensor(picture)).unsqueeze(0), kChannels, {}, {});
    Tensor tokens = image[0].reshape({kChannels, kSide * kSide}).transpose(0, 1);  // [N, C]
    std::cout << str("picture [B, C, H, W] ", image.shape(), ", tokens ", tokens.shape(), "\n");

    // 3. A block z = x + W y is born as the identity (W = 0), so that it can join a trained
    // network. Training moves it; here we set theta and phi, which make queries and keys, to the
    // identity: a pixel looks for its own colour. W is random.
    nn::NonLocalConfig config{.inner_channels = kChannels, .batch_norm = false, .bias = false};
    nn::NonLocalBlock gaussian(kChannels, config);  // the default: embedded_gaussian
    config.attention = "efficient";
    nn::NonLocalBlock efficient(kChannels, config);
    std::printf("a new block: |block(x) - x| <= %g\n", difference(gaussian.forward(image), image));
    gaussian.theta->weight.copy_(eye(kChannels));
    gaussian.phi->weight.copy_(eye(kChannels));
    nn::init::normal_(gaussian.w.weight);
    efficient.load_state_dict(gaussian.state_dict());

    // 4. By hand. Scores are dot products; softmax makes weights of each pixel's N scores.
    Tensor q = gaussian.theta->forward(tokens), k = gaussian.phi->forward(tokens);  // [N, D]
    Tensor v = gaussian.g.forward(tokens);                                          // [N, D]
    auto add_to_image = [&](const Tensor& mixed) {  // [N, D] -> x + W y, as an image
      return (tokens + gaussian.w.forward(mixed)).transpose(0, 1).reshape(image.shape());
    };
    Tensor weights = softmax(matmul(q, k.transpose(0, 1)), 1);  // [N, N]
    Tensor by_hand = add_to_image(matmul(weights, v));

    // 5. Efficient attention: softmax of keys over pixels, of queries over channels. Key channel d
    // is one map of the whole picture, which gathers one global context vector; each pixel mixes
    // these D vectors. Keys meet values first, and no map of N x N exists.
    Tensor gather = softmax(k, 0).transpose(0, 1);  // [D, N]
    Tensor context = matmul(gather, v);             // [D, D], a row is a context vector
    Tensor mix = softmax(q, 1);                     // [N, D]
    std::printf("by hand, largest difference: embedded_gaussian %.1e, efficient %.1e\n",
                difference(by_hand, gaussian.forward(image)),
                difference(add_to_image(matmul(mix, context)), efficient.forward(image)));
    std::cout << "context vectors, one a row:\n" << context << "\n";

    // 6. What does a pixel attend to? The map that efficient attention implies, mix * gather, has
    // rank D = 3 at most: all pixels share three ways to look.
    const std::pair<const char*, viz::PictureRegion> lookers[] = {
        {"red disc", {3, 3}}, {"green disc", {12, 3}}, {"background", {3, 13}}};
    auto map_of = [](const Tensor& w) { return w.contiguous().array().view({kSide, kSide}); };
    std::printf(
        "\na pixel of .. attends to         red disc  red square  green disc  background\n");
    std::vector<viz::PicturePanel> panels;
    Array shown = from_xtensor(xt::cast<uint8_t>(xt::transpose(picture, {1, 2, 0})));  // [H, W, 3]
    for (const auto& [who, pixel] : lookers) {
      panels.push_back({shown, str("a pixel of the ", who), {}, pixel});
      for (const nn::NonLocalBlock* block : {&gaussian, &efficient}) {
        Array map = map_of(block->weights(image, {pixel.y * kSide + pixel.x}));  // [H, W]
        panels.back().maps.push_back({block->attention().name(), map});
        std::printf("%-11s%-18s", who, block->attention().name());
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
    std::printf("\nbytes: map of 64 x 64 pixels %lld, of 256 x 256 %lld; 32 context vectors %d\n",
                64LL * 64 * 64 * 64 * 4, 256LL * 256 * 256 * 256 * 4, 32 * 32 * 4);
    std::printf("peak of a block, 64 channels (32 inside), on 64 x 64 pixels:");
    for (auto name : {"embedded_gaussian:form=naive", "embedded_gaussian", "efficient"}) {
      nn::NonLocalBlock block(64, {.attention = name});
      reset_peak_memory();
      int64_t before = memory_stats().current_bytes;
      block.forward(large);
      std::printf("\n  %-30s%6.1f MiB", name, (memory_stats().peak_bytes - before) / 1048576.0);
    }
    std::printf("\n\nwritten: non_local.html\n");
    return 0;
  });
}
