// The attention weights of every layer and head for given sentences, to look at.
#pragma once

#include <vector>

#include <heed/models/transformer.h>

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

}  // namespace heed::models
