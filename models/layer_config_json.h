// The settings of a Transformer layer or stack in a model's config.json, beside those that each
// model lists in its own order.
#pragma once

#include <string>

#include <heed/models/config_json.h>
#include <heed/nn/transformer.h>

namespace heed::models {

// Settings that files lack which were written before there were such settings.
ConfigFields later_fields(nn::TransformerLayerConfig& layer);
// ValueError where the layer has a setting that no file keeps: scale, rope, key_width, value_width.
void require_kept(const std::string& model, const nn::TransformerLayerConfig& layer);
// The same for a stack's layer, and for its positions.
void require_kept(const std::string& model, const nn::TransformerStackConfig& stack);

}  // namespace heed::models
