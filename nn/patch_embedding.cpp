#include <heed/nn/patch_embedding.h>

#include <cmath>

#include <heed/autograd/ops/matmul.h>
#include <heed/core/error.h>
#include <heed/nn/init.h>

namespace heed::nn {

PatchGrid patch_grid(int64_t height, int64_t width, int64_t patch) {
  auto refuse = [&](const char* fault, const std::string& hint) {
    throw ShapeError(str("patches: a picture of ", height, " x ", width, " (height x width) ",
                         fault, " of ", patch, " x ", patch, hint));
  };
  if (height < patch || width < patch) refuse("is smaller than a patch", "");
  PatchGrid grid{height / patch, width / patch};
  if (height % patch != 0 || width % patch != 0)
    refuse("does not divide into patches", str("; crop it to ", grid.rows * patch, " x ",
                                               grid.columns * patch, " or choose another patch"));
  return grid;
}

PatchEmbedding::PatchEmbedding(int64_t channels, int64_t patch, int64_t width) {
  if (channels < 1 || patch < 1 || width < 1)
    throw ValueError(str("PatchEmbedding: sizes must be positive, got ", channels,
                         " channels, patch ", patch, ", width ", width));
  weight = zeros({width, channels, patch, patch});
  init::trunc_normal_(weight, 0, 1 / std::sqrt(static_cast<double>(channels * patch * patch)));
  bias = zeros({width});
  register_parameter("weight", weight);
  register_parameter("bias", bias);
}

Tensor PatchEmbedding::forward(const Tensor& images) const {
  auto scope = enter();
  int64_t d = weight.dim(0), c = weight.dim(1), p = weight.dim(2);
  if (images.rank() != 4 || images.dim(1) != c)
    throw ShapeError(
        str("PatchEmbedding: images [B, ", c, ", H, W] expected, got ", images.shape()));
  int64_t b = images.dim(0);
  PatchGrid grid = patch_grid(images.dim(2), images.dim(3), p);
  Tensor x = images.reshape({b, c, grid.rows, p, grid.columns, p});  // [B, C, R, p, K, p]
  x = x.permute({0, 2, 4, 1, 3, 5});                                 // [B, R, K, C, p, p]
  x = x.reshape({b, grid.cells(), c * p * p});                       // [B, R K, C p p], a copy
  return linear(x, weight.reshape({d, c * p * p}), bias);            // [B, R K, d]
}

std::string PatchEmbedding::type_name() const {
  return str("PatchEmbedding(", weight.dim(1), " channels, patch ", weight.dim(2), ", ",
             weight.dim(0), ")");
}

}  // namespace heed::nn
