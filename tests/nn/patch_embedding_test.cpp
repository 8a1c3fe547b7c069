#include <heed/nn/patch_embedding.h>

#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;

TEST_CASE("patch embedding: each patch by a plain loop, row by row") {
  nn::PatchEmbedding patches(2, 3, 4);
  patches.to(DType::f64);
  nn::init::normal_(patches.bias);
  Tensor images = numbers({2, 2, 6, 9}, 2);
  Tensor y = patches.forward(images);
  REQUIRE(y.shape() == Shape{2, 6, 4});
  std::vector<double> x = images.to_vector(), w = patches.weight.to_vector(),
                      bias = patches.bias.to_vector(), out = y.to_vector();
  for (size_t b = 0; b < 2; ++b)
    for (size_t n = 0; n < 6; ++n)
      for (size_t d = 0; d < 4; ++d) {
        double sum = bias[d];
        for (size_t c = 0; c < 2; ++c)
          for (size_t i = 0; i < 3; ++i)
            for (size_t j = 0; j < 3; ++j)
              sum += w[((d * 2 + c) * 3 + i) * 3 + j] *
                     x[((b * 2 + c) * 6 + n / 3 * 3 + i) * 9 + n % 3 * 3 + j];
        REQUIRE_THAT(out[(b * 6 + n) * 4 + d], WithinAbs(sum, 1e-13));
      }
}

TEST_CASE("patch embedding: sides that do not fit are named") {
  nn::PatchEmbedding patches(1, 4, 8);
  auto refuses = [&](const Shape& shape, const std::string& part) {
    REQUIRE_THROWS_SAYING(patches.forward(zeros(shape)), ShapeError, part);
  };
  refuses({1, 1, 3, 28}, "a picture of 3 x 28 (height x width) is smaller than a patch of 4 x 4");
  refuses({1, 1, 28, 30},
          "28 x 30 (height x width) does not divide into patches of 4 x 4; crop it "
          "to 28 x 28");
  refuses({1, 3, 8, 8}, "images [B, 1, H, W] expected, got [1, 3, 8, 8]");
  refuses({1, 8, 8}, "got [1, 8, 8]");
  REQUIRE_THROWS_SAYING(nn::PatchEmbedding(1, 0, 8), ValueError, "patch 0");
  REQUIRE(patches.forward(zeros({0, 1, 8, 4})).shape() == Shape{0, 2, 8});
}
