// The attention weights of every layer and head for given sentences or pictures, to look at. Of a
// residual network those of some positions only: the whole map of a slot can be too large to keep.
#pragma once

#include <vector>

#include <heed/models/resnet.h>
#include <heed/models/transformer.h>
#include <heed/models/vit.h>

namespace heed::models {

struct AttentionMaps {          // one tensor a layer; rows sum to 1 where the variant's do
  std::vector<Tensor> encoder;  // [B, H, S, S]
  std::vector<Tensor> decoder;  // [B, H, T, T]
  std::vector<Tensor> cross;    // [B, H, T, S]
};

// Source [B, S] and target_in [B, T], i64. The list of a kind whose variant has no weights to show
// is empty. ValueError for a model in training mode.
AttentionMaps attention_maps(const Transformer& model, const Tensor& source, const Lengths& lengths,
                             const Tensor& target_in);

// Images [B, C, H, W] -> a map [B, H, T, T] a layer, T = model.tokens(). Empty where the variant
// has no weights to show. ValueError for a model in training mode.
std::vector<Tensor> attention_maps(const ViT& model, const Tensor& images);
// What one token of a map looks at in the picture: [B, H, rows, columns], a weight a patch. Token 0
// is the class token, where there is one; model.first_patch() + i is patch i.
Tensor patch_weights(const ViT& model, const Tensor& map, int64_t token);

struct SlotWeights {
  Tensor weights;  // [B, H, P, ..size of the keys' map], which is smaller under sub-sampling
  Shape map;       // size of the map on which positions are counted, {H, W} or {frames, H, W}
};
// What positions (row-major numbers) of the map before a slot look at in images [B, C, H, W] or
// clips. ValueError: a model in training mode, no such slot or position, a variant without weights.
SlotWeights slot_weights(const ResNet& model, const Tensor& images, int64_t slot,
                         const std::vector<int64_t>& positions);
// The position of that map under a pixel of a picture or clip of the size given, {row, column} or
// {frame, row, column}. ValueError: a pixel outside of it.
int64_t slot_position(const ResNet& model, int64_t slot, const Shape& picture, const Shape& pixel);

}  // namespace heed::models
