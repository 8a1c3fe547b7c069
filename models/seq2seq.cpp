#include <heed/models/seq2seq.h>

#include <cmath>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/score_map.h>
#include <heed/nn/init.h>

namespace heed::models {

namespace {

const Seq2SeqConfig& checked(const Seq2SeqConfig& c) {
  auto require = [](bool good, const std::string& what) {
    if (!good) throw ValueError("Seq2Seq: " + what);
  };
  require(c.vocab > 0, str("vocab > 0 expected, got ", c.vocab));
  require(c.width > 0 && c.width % 2 == 0, str("an even width > 0 expected, got ", c.width));
  require(c.dropout >= 0 && c.dropout < 1, str("0 <= dropout < 1 expected, got ", c.dropout));
  for (int64_t id : {c.pad, c.bos, c.eos})
    require(id >= 0 && id < c.vocab, str("id ", id, " outside the vocabulary of ", c.vocab));
  return c;
}

Tensor one_head(const Tensor& x) { return x.unsqueeze(1); }  // [B, T, d] -> [B, 1, T, d]

}  // namespace

Seq2Seq::Seq2Seq(const Seq2SeqConfig& config)
    : config_(checked(config)),
      embedding_(config.vocab, config.width),
      encoder_(nn::recurrent_kind_from_name(config.cell), config.width, config.width / 2, true),
      decoder_(nn::recurrent_kind_from_name(config.cell), config.width, config.width),
      start_(config.width, config.width),
      output_(2 * config.width, config.width),
      dropout_(config.dropout) {
  int64_t d = config.width;
  if (config.attention == "none") {
    context_ = std::make_unique<nn::Linear>(d, d);
  } else {
    nn::AttentionConfig a;
    a.head_dim = a.value_dim = d;
    a.max_length = config.max_length;
    attention_ = nn::make_attention(config.attention, a);
    nn::Traits traits = attention_->traits();
    if (!traits.cross || !traits.key_padding || traits.decode == nn::DecodeKind::none)
      throw ValueError(str("Seq2Seq: attention '", attention_->name(),
                           "' cannot stand between decoder and encoder: it must cross, know key ",
                           "padding and decode"));
  }
  if (decoder_.kind() == nn::RecurrentKind::lstm) start_cell_ = std::make_unique<nn::Linear>(d, d);
  register_module("embedding", embedding_);
  register_module("encoder", encoder_);
  register_module("decoder", decoder_);
  register_module("start", start_);
  if (start_cell_) register_module("start_cell", *start_cell_);
  if (context_) register_module("context", *context_);
  register_module("output", output_);
  register_module("dropout", dropout_);
  if (attention_) register_module("attention", *attention_);
  // Embeddings start with length 1 and are scaled up where they are read, so logits start small.
  nn::init::normal_(embedding_.weight, 0, 1 / std::sqrt(static_cast<double>(d)));
}

Tensor Seq2Seq::embed(const Tensor& ids) const {
  double scale = std::sqrt(static_cast<double>(config_.width));
  return dropout_.forward(embedding_.forward(ids) * scale);  // [.., d]
}

Seq2Seq::Source Seq2Seq::encode(const Tensor& source, const Lengths& lengths) const {
  if (source.rank() != 2 || lengths.size() != source.dim(0))
    throw ShapeError(str("Seq2Seq: source [B, S] and lengths [B] expected, got ", source.shape(),
                         " and ", lengths.size(), " lengths"));
  auto [states, last] = encoder_.forward(embed(source), lengths);  // [B, S, d], h [B, d]
  Source out;
  out.states = states;
  out.mask = nn::Mask::key_padding(lengths);
  out.start.h = tanh(start_.forward(last.h));
  if (start_cell_) out.start.c = start_cell_->forward(last.c);
  if (context_) out.context = context_->forward(last.h).unsqueeze(1);  // [B, 1, d]
  return out;
}

Tensor Seq2Seq::attend(const Tensor& states, const Source& source) const {
  if (!attention_) return broadcast_to(source.context, states.shape());  // [B, T, d]
  nn::AttentionCall call;
  call.mask = source.mask;
  Tensor memory = one_head(source.states);                                        // [B, 1, S, d]
  return attention_->forward(one_head(states), memory, memory, call).squeeze(1);  // [B, T, d]
}

Tensor Seq2Seq::output(const Tensor& states, const Tensor& context) const {
  return dropout_.forward(tanh(output_.forward(concat({states, context}, -1))));  // [B, T, d]
}

// Padding behind a target needs no lengths: later tokens have no influence on earlier ones.
Tensor Seq2Seq::decoder_states(const Tensor& target_in, const Source& source) const {
  return decoder_.forward(embed(target_in), {}, source.start).output;  // [B, T, d]
}

Tensor Seq2Seq::loss(const TranslationBatch& batch, double label_smoothing) const {
  auto scope = enter();
  Source source = encode(batch.source, batch.source_lengths);
  Tensor states = decoder_states(batch.target_in, source);  // [B, T, d]
  Tensor x = output(states, attend(states, source));        // [B, T, d]
  return linear_cross_entropy(x, embedding_.weight, Tensor(), batch.target_out,
                              {.label_smoothing = label_smoothing, .ignore_index = config_.pad});
}

Tensor Seq2Seq::weights(const TranslationBatch& batch) const {
  NoGrad guard;
  if (!attention_) throw ValueError("Seq2Seq: there are no weights without attention");
  Source source = encode(batch.source, batch.source_lengths);
  Tensor states = decoder_states(batch.target_in, source);  // [B, T, d]
  nn::AttentionCall call;
  call.mask = source.mask;
  Tensor map = attention_->weights(one_head(states), one_head(source.states), call,
                                   nn::all_rows(states.dim(1)));  // [B, 1, T, S]
  return map.squeeze(1);
}

class Seq2Seq::Steps : public Decoding {
 public:
  Steps(const Seq2Seq& model, const Source& source)
      : Decoding(source.start.h.dim(0)),
        model_(model),
        state_(source.start),
        context_(source.context) {
    if (!model.attention_) return;
    const Tensor& h = source.states;
    memory_ = model.attention_->new_state(rows(), h.dim(1), h.dtype(), h.device());
    nn::AttentionCall call;
    call.mask = source.mask;
    model.attention_->absorb(one_head(h), one_head(h), call, *memory_);
  }

 private:
  Tensor take_in(const Tensor& tokens, int64_t) override {
    auto scope = model_.enter();
    for (int64_t t = 0; t < tokens.dim(1); ++t)
      state_ = model_.decoder_.step(model_.embed(tokens.slice(1, t, t + 1).squeeze(1)), state_);
    Tensor s = state_.h.unsqueeze(1);  // [R, 1, d]
    Tensor context = context_;         // [R, 1, d]
    if (memory_)
      context = model_.attention_->step(one_head(s), Tensor(), Tensor(), {}, *memory_).squeeze(1);
    return linear(model_.output(s, context).squeeze(1), model_.embedding_.weight);  // [R, V]
  }
  void move_rows(const std::vector<int64_t>& rows, bool same_inputs) override {
    state_.select(rows);
    if (same_inputs) return;
    if (memory_) memory_->select(rows);
    else context_ = index_select(context_, 0, rows);
  }

  const Seq2Seq& model_;
  nn::RecurrentState state_;                 // h [R, d], c [R, d]
  Tensor context_;                           // [R, 1, d], where there is no attention
  std::unique_ptr<nn::DecodeState> memory_;  // the source's states
};

std::unique_ptr<Decoding> Seq2Seq::start(const DecodingInputs& inputs, int64_t) const {
  check_start(inputs, /*needs_source=*/true);
  NoGrad guard;
  auto scope = enter();
  return std::make_unique<Steps>(*this, encode(inputs.source, inputs.lengths));
}

}  // namespace heed::models
