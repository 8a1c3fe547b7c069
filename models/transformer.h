// The encoder-decoder Transformer for translation (Vaswani et al. 2017): token embeddings times
// sqrt(d) plus sinusoidal positions, a stack of encoder layers, a stack of decoder layers, and the
// output matrix. Each of its three kinds of attention is any variant of the catalogue.
//
//   models::TransformerConfig config = models::transformer_preset("tiny");
//   config.vocab = 6000;
//   models::Transformer model(config);
//   Tensor loss = model.loss(batch, 0.1);
//
// models/translate.h translates with it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <heed/models/steppable.h>
#include <heed/nn/embedding.h>
#include <heed/nn/position.h>
#include <heed/nn/transformer.h>

namespace heed::models {

struct TransformerConfig {
  int64_t vocab = 0;  // of source and target: one vocabulary for both
  // Of every layer on both sides; width is d, dropout is also that of the embeddings. With
  // norm_first the stacks end with a norm, without they do not.
  nn::TransformerLayerConfig layer{};  // layer.attention.variant: the encoder's
  // Of the decoder's self-attention: must have a causal form and decode.
  std::string decoder_variant = "dense";
  int64_t encoder_layers = 6, decoder_layers = 6;
  bool tied = true;                   // one matrix embeds source and target and gives the output
  bool recompute = false;             // layers in backward: less memory, more time
  int64_t pad = 0, bos = 2, eos = 3;  // ids
};

// tiny, base and big; width, heads, hidden and layers are its sizes.
TransformerConfig transformer_preset(const std::string& name);
void set_preset_sizes(TransformerConfig& config, const std::string& name);
const std::vector<std::string>& transformer_presets();
// ValueError: rope and other settings of the attention that a config.json does not keep.
std::string to_json(const TransformerConfig& config);
TransformerConfig transformer_from_json(std::string_view json);  // ValueError

struct TranslationBatch {
  Tensor source;           // i64 [B, S], padded on the right
  Lengths source_lengths;  // [B]
  Tensor target_in;        // i64 [B, T]: bos y
  Tensor target_out;       // i64 [B, T]: y eos
};

// The output of the encoder, and which of it is padding.
struct Memory {
  Tensor states;  // [B, S, d]
  nn::Mask mask;
};

class Transformer : public Steppable {
 public:
  // ValueError: sizes without meaning, an attention variant that cannot do what its place asks.
  explicit Transformer(const TransformerConfig& config);

  // Mean cross-entropy over the target tokens that are not padding.
  Tensor loss(const TranslationBatch& batch, double label_smoothing = 0) const;  // []

  Memory encode(const Tensor& source, const Lengths& lengths) const;
  // The decoder's states for a whole target, and the scores of the next token.
  Tensor decode(const Tensor& target_in, const Memory& memory) const;  // [B, T] -> [B, T, d]
  Tensor logits(const Tensor& states) const;                           // [.., d] -> [.., V]

  Vocabulary vocabulary() const override;
  std::unique_ptr<Decoding> start(const DecodingInputs& inputs,
                                  int64_t capacity = 0) const override;

  const TransformerConfig& config() const { return config_; }
  const nn::TransformerEncoder& encoder() const { return encoder_; }
  const nn::TransformerDecoder& decoder() const { return decoder_; }
  Tensor embed_source(const Tensor& ids) const;                        // [B, S] -> [B, S, d]
  Tensor embed_target(const Tensor& ids, int64_t position = 0) const;  // [B, T] -> [B, T, d]
  std::string type_name() const override { return "Transformer"; }

 private:
  Tensor embed(const nn::Embedding& table, const Tensor& ids, int64_t position) const;
  const nn::Embedding& target_table() const {
    return config_.tied ? embedding_ : *target_embedding_;
  }

  TransformerConfig config_;
  nn::Embedding embedding_;                          // [V, d]
  std::unique_ptr<nn::Embedding> target_embedding_;  // [V, d], empty when tied
  std::unique_ptr<nn::Linear> output_;               // [V, d], empty when tied
  nn::SinusoidalPositions positions_;
  nn::Dropout dropout_;
  nn::TransformerEncoder encoder_;
  nn::TransformerDecoder decoder_;
};

}  // namespace heed::models
