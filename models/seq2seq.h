// Translation with recurrent networks: a bidirectional encoder, a decoder that reads the source
// through any variant of attention that supports cross-attention and decoding (Luong et al. 2015:
// `luong`, `additive`), or, as the baseline (Cho et al. 2014), sees the source only as one vector
// of fixed size.
//
//   models::Seq2SeqConfig config{.vocab = 600, .width = 128, .attention = "additive"};
//   models::Seq2Seq model(config);
//   Tensor loss = model.loss(batch);
//   model.eval();
//   auto best = models::translate(model, sources);          // models/translate.h
//
//   h_j = encoder states [B, S, d], forward's half beside backward's
//   s_0 = tanh(W_s last + b)                       last: both directions' final states
//   s_t = cell(embedding(y_{t-1}), s_{t-1})
//   c_t = attention(s_t; h)     or, without attention, c_t = W_c last
//   o_t = tanh(W_o [s_t; c_t] + b),  logits = E o_t    (E: the embeddings, of both languages)
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <heed/models/transformer.h>
#include <heed/nn/attention/catalog.h>
#include <heed/nn/recurrent.h>

namespace heed::models {

struct Seq2SeqConfig {
  int64_t vocab = 0;
  int64_t width = 128;  // d, even: embeddings, decoder, and the encoder's two directions together
  std::string cell = "gru";            // or lstm
  std::string attention = "additive";  // a spec string, or "none": the fixed context
  double dropout = 0.1;                // of embeddings and of o_t
  int64_t max_length = 0;              // for variants that need it
  int64_t pad = 0, bos = 2, eos = 3;   // ids
};

class Seq2Seq : public Steppable {
 public:
  // ValueError: sizes without meaning, a variant that cannot cross or decode.
  explicit Seq2Seq(const Seq2SeqConfig& config);

  // Mean cross-entropy over the target tokens that are not padding.
  Tensor loss(const TranslationBatch& batch, double label_smoothing = 0) const;  // []
  // The map [B, T, S] of the attention for a given target. ValueError without attention.
  Tensor weights(const TranslationBatch& batch) const;

  Vocabulary vocabulary() const override {
    return {config_.vocab, config_.pad, config_.bos, config_.eos};
  }
  std::unique_ptr<Decoding> start(const DecodingInputs& inputs,
                                  int64_t capacity = 0) const override;

  const Seq2SeqConfig& config() const { return config_; }
  std::string type_name() const override { return "Seq2Seq(" + config_.attention + ")"; }

 private:
  class Steps;  // its Decoding
  struct Source {
    Tensor states;             // [B, S, d]
    nn::Mask mask;             // which of them are padding
    Tensor context;            // [B, 1, d]: the fixed context, where there is no attention
    nn::RecurrentState start;  // of the decoder
  };
  Source encode(const Tensor& source, const Lengths& lengths) const;
  Tensor embed(const Tensor& ids) const;                             // [..] -> [.., d]
  Tensor output(const Tensor& states, const Tensor& context) const;  // [B, T, d] each
  Tensor attend(const Tensor& states, const Source& source) const;   // [B, T, d]
  Tensor decoder_states(const Tensor& target_in, const Source& source) const;

  Seq2SeqConfig config_;
  nn::Embedding embedding_;
  nn::Recurrent encoder_, decoder_;
  nn::Linear start_;  // s_0
  std::unique_ptr<nn::Linear> start_cell_, context_;
  nn::Linear output_;
  nn::Dropout dropout_;
  std::unique_ptr<nn::Attention> attention_;
};

}  // namespace heed::models
