// Settings of a model's Transformer layers, the same in each program that trains one. There are two
// groups, so that a program can list its own between them.
#pragma once

#include <string>

#include <heed/nn/transformer_layer.h>

#include "checks.h"
#include "settings.h"

namespace heed::examples {

inline Settings precision_settings(nn::TransformerLayerConfig& layer, std::string& precision) {
  return {
      {"qk-norm", &layer.attention.qk_norm, "normalise the queries and keys of each head"},
      {"precision", &precision,
       "f32, or bf16: weights and activations; optimizer and loss stay f32"},
  };
}

inline void check_precision(const std::string& precision) {
  require_one_of("--precision", precision, {"f32", "bf16"});
}

inline Settings layer_settings(nn::TransformerLayerConfig& layer, bool& recompute) {
  return {
      {"recompute", &recompute, "compute each layer again in backward, to save memory"},
      {"dropout", &layer.dropout, "of embeddings, feed-forward and residuals"},
      {"attention-dropout", &layer.attention.dropout, "of attention weights; default: --dropout"},
  };
}

inline void check_dropout(const nn::TransformerLayerConfig& layer) {
  require_probability(
      {{"--dropout", layer.dropout}, {"--attention-dropout", layer.attention.dropout.value_or(0)}});
}

}  // namespace heed::examples
