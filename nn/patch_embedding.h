// A picture as tokens (Dosovitskiy et al. 2021, arXiv 2010.11929): it is cut into squares of p x p,
// and each becomes one vector, a linear map of its C p p numbers. The same as a convolution whose
// stride is its size, and stored as one.
//
//   nn::PatchEmbedding patches(3, 16, 768);
//   Tensor x = patches.forward(images);  // [B, 3, 224, 224] -> [B, 14 * 14, 768], row by row
#pragma once

#include <heed/nn/module.h>

namespace heed::nn {

struct PatchGrid {
  int64_t rows = 0, columns = 0;
  int64_t cells() const { return rows * columns; }
};
// How many patches a picture has. ShapeError where it is smaller than a patch, or its sides do not
// divide into patches.
PatchGrid patch_grid(int64_t height, int64_t width, int64_t patch);

class PatchEmbedding : public Module {
 public:
  PatchEmbedding(int64_t channels, int64_t patch, int64_t width);  // ValueError: sizes below 1
  Tensor forward(const Tensor& images) const;  // [B, C, H, W] -> [B, H/p W/p, width]
  std::string type_name() const override;

  Tensor
      weight;   // [width, C, p, p], as of PyTorch's Conv2d; normal, variance 1 / (C p p), cut at 2
  Tensor bias;  // [width], zeros
};

}  // namespace heed::nn
