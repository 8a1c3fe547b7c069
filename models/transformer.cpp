#include <heed/models/transformer.h>

#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/core/error.h>
#include <heed/nn/init.h>

namespace heed::models {

namespace {
void check(const TransformerConfig& c) {
  auto require = [](bool good, const std::string& what) {
    if (!good) throw ValueError("Transformer: " + what);
  };
  require(c.vocab > 0, str("vocab > 0 expected, got ", c.vocab));
  int64_t width = c.layer.width, heads = c.layer.attention.heads;
  require(width > 0 && heads > 0 && c.layer.hidden > 0, "width, heads and hidden > 0 expected");
  require(width % heads == 0, str("width ", width, " is not a multiple of ", heads, " heads"));
  require(width % 2 == 0, str("an even width expected, got ", width));
  require(c.encoder_layers > 0 && c.decoder_layers > 0, "at least one layer on each side expected");
  require(!c.layer.attention.causal, "attention.causal is for the decoder alone, which sets it");
  double d = c.layer.dropout, a = c.layer.attention.dropout.value_or(0);
  require(d >= 0 && d < 1, str("0 <= dropout < 1 expected, got ", d));
  require(a >= 0 && a < 1, str("0 <= attention dropout < 1 expected, got ", a));
  for (int64_t id : {c.pad, c.bos, c.eos})
    require(id >= 0 && id < c.vocab, str("id ", id, " outside the vocabulary of ", c.vocab));
}

nn::TransformerStackConfig stack(const TransformerConfig& c, int64_t layers) {
  // Post-norm layers end with a norm already.
  return {.layer = c.layer,
          .layers = layers,
          .final_norm = c.layer.norm_first,
          .recompute = c.recompute};
}

nn::TransformerStackConfig decoder_stack(const TransformerConfig& c) {
  nn::TransformerStackConfig s = stack(c, c.decoder_layers);
  s.layer.attention.variant = c.decoder_variant;
  return s;
}

// A variant that cannot do what its place asks for is refused before training, not hours into it.
void check_traits(const nn::Attention& attention, const char* place,
                  std::initializer_list<std::pair<bool nn::Traits::*, const char*>> needs) {
  nn::Traits traits = attention.traits();
  for (auto [trait, name] : needs) {
    if (traits.*trait) continue;
    auto why = traits.why.find(name);
    throw ValueError(str("Transformer: attention '", attention.name(), "' cannot be used ", place,
                         ": it does not support ", name,
                         why == traits.why.end() ? "" : " (" + why->second + ")"));
  }
}
}  // namespace

Transformer::Transformer(const TransformerConfig& config)
    : config_((check(config), config)),
      embedding_(config.vocab, config.layer.width),
      positions_(config.layer.width),
      dropout_(config.layer.dropout),
      encoder_(stack(config, config.encoder_layers)),
      decoder_(decoder_stack(config)) {
  using nn::Traits;
  check_traits(encoder_.layer(0).self_attn.attention(), "in the encoder",
               {{&Traits::key_padding, "key_padding"}});
  const nn::TransformerDecoderLayer& layer = decoder_.layer(0);
  check_traits(layer.self_attn.attention(), "in the decoder", {{&Traits::causal, "causal"}});
  check_traits(layer.multihead_attn.attention(), "between decoder and encoder",
               {{&Traits::cross, "cross"}, {&Traits::key_padding, "key_padding"}});
  for (const auto* a : {&layer.self_attn.attention(), &layer.multihead_attn.attention()})
    if (a->traits().decode == nn::DecodeKind::none)
      throw ValueError(
          str("Transformer: attention '", a->name(),
              "' cannot be used in the decoder: ", "it does not decode token by token"));

  register_module("embedding", embedding_);
  if (!config.tied) {
    int64_t width = config.layer.width;
    target_embedding_ = std::make_unique<nn::Embedding>(config.vocab, width);
    output_ = std::make_unique<nn::Linear>(width, config.vocab, /*bias=*/false);
    register_module("target_embedding", *target_embedding_);
    register_module("output", *output_);
  }
  register_module("positions", positions_);
  register_module("dropout", dropout_);
  register_module("encoder", encoder_);
  register_module("decoder", decoder_);

  // Glorot for all projections (those of queries, keys and values have it already), as in fairseq.
  // Embeddings start with length 1: times sqrt(d) they are as large as the positions, and logits
  // start small.
  visit([](const std::string& path, nn::Module& m) {
    auto* linear = dynamic_cast<nn::Linear*>(&m);
    if (!linear || path.ends_with("q_proj") || path.ends_with("k_proj") || path.ends_with("v_proj"))
      return;
    nn::init::xavier_uniform_(linear->weight);
    if (linear->bias.defined()) nn::init::zeros_(linear->bias);
  });
  double std = 1 / std::sqrt(static_cast<double>(config.layer.width));
  nn::init::normal_(embedding_.weight, 0, std);
  if (!config.tied) {
    nn::init::normal_(target_embedding_->weight, 0, std);
    nn::init::normal_(output_->weight, 0, std);
  }
}

Tensor Transformer::embed(const nn::Embedding& table, const Tensor& ids, int64_t position) const {
  Tensor x = table.forward(ids) * std::sqrt(static_cast<double>(config_.layer.width));  // [B, T, d]
  return dropout_.forward(positions_.forward(x, position));                             // [B, T, d]
}

Tensor Transformer::embed_source(const Tensor& ids) const { return embed(embedding_, ids, 0); }

Tensor Transformer::embed_target(const Tensor& ids, int64_t position) const {
  return embed(target_table(), ids, position);
}

Memory Transformer::encode(const Tensor& source, const Lengths& lengths) const {
  if (source.rank() != 2 || lengths.size() != source.dim(0))
    throw ShapeError(str("Transformer: source [B, S] and lengths [B] expected, got ",
                         source.shape(), " and ", lengths.size(), " lengths"));
  // Without padding there is no mask to look at. Embeddings are finite, so padding is as well.
  nn::Mask mask, memory_mask;
  if (!ranges_of({}, lengths, source.dim(0), source.dim(1)).whole(source.dim(1))) {
    mask = nn::Mask::padding(lengths).with_finite_padding();
    memory_mask = nn::Mask::key_padding(lengths).with_finite_padding();
  }
  Tensor x = embed_source(source);                  // [B, S, d]
  return {encoder_.forward(x, mask), memory_mask};  // [B, S, d]
}

// Padding behind a target needs no mask: being causal, no real token sees it, and the loss leaves
// its rows out.
Tensor Transformer::decode(const Tensor& target_in, const Memory& memory) const {
  Tensor x = embed_target(target_in);                          // [B, T, d]
  return decoder_.forward(x, memory.states, {}, memory.mask);  // [B, T, d]
}

Tensor Transformer::logits(const Tensor& states) const {
  return linear(states, config_.tied ? embedding_.weight : output_->weight);  // [.., V]
}

Tensor Transformer::loss(const TranslationBatch& batch, double label_smoothing) const {
  auto scope = enter();
  Memory memory = encode(batch.source, batch.source_lengths);
  Tensor x = decode(batch.target_in, memory);                                 // [B, T, d]
  const Tensor& weight = config_.tied ? embedding_.weight : output_->weight;  // [V, d]
  return linear_cross_entropy(x, weight, Tensor(), batch.target_out,
                              {.label_smoothing = label_smoothing, .ignore_index = config_.pad});
}

namespace {
class TransformerDecoding : public Decoding {
 public:
  TransformerDecoding(const Transformer& model, const Memory& memory, int64_t capacity)
      : Decoding(memory.states.dim(0)),
        model_(model),
        state_(model.decoder().new_state(memory.states, memory.mask, capacity)) {}

 private:
  Tensor take_in(const Tensor& tokens, int64_t length) override {
    Tensor x = model_.decoder().step(model_.embed_target(tokens, length), state_);  // [R, T, d]
    return model_.logits(x.slice(1, -1, x.dim(1)).squeeze(1));                      // [R, V]
  }
  void move_rows(const std::vector<int64_t>& rows, bool same_inputs) override {
    state_.select(rows, same_inputs);
  }

  const Transformer& model_;
  nn::StackState state_;
};
}  // namespace

Vocabulary Transformer::vocabulary() const {
  return {config_.vocab, config_.pad, config_.bos, config_.eos};
}

std::unique_ptr<Decoding> Transformer::start(const DecodingInputs& inputs, int64_t capacity) const {
  check_start(inputs, /*needs_source=*/true);
  NoGrad guard;
  return std::make_unique<TransformerDecoding>(*this, encode(inputs.source, inputs.lengths),
                                               capacity);
}

}  // namespace heed::models
