#include <heed/nn/multi_head_attention.h>

#include <cmath>

#include <heed/autograd/grad_mode.h>
#include <heed/core/error.h>
#include <heed/nn/attention/score_map.h>
#include <heed/nn/attention_recorder.h>
#include <heed/nn/heads.h>
#include <heed/nn/init.h>

namespace heed::nn {

namespace {

MultiHeadAttentionConfig completed(int64_t width, MultiHeadAttentionConfig c) {
  if (width < 1 || c.heads < 1 || c.kv_heads < 0 || c.head_dim < 0)
    throw ValueError(str("MultiHeadAttention: sizes must be positive, got width ", width,
                         ", heads ", c.heads, ", kv_heads ", c.kv_heads, ", head_dim ",
                         c.head_dim));
  if (c.head_dim == 0 && width % c.heads != 0)
    throw ValueError(str("MultiHeadAttention(", c.variant, "): width ", width,
                         " does not divide into ", c.heads,
                         " heads; head_dim sets their width apart from it"));
  if (c.kv_heads == 0) c.kv_heads = c.heads;
  if (c.head_dim == 0) c.head_dim = width / c.heads;
  if (c.key_width == 0) c.key_width = width;
  if (c.value_width == 0) c.value_width = width;
  return c;
}

std::unique_ptr<Attention> make_variant(const MultiHeadAttentionConfig& c,
                                        SharedParameters* shared) {
  SharedParameters own;
  AttentionConfig config;
  config.heads = c.heads;
  config.kv_heads = c.kv_heads;
  config.head_dim = config.value_dim = c.head_dim;
  config.max_length = c.max_length;
  config.causal = c.causal;
  return make_attention(c.variant, config, shared ? *shared : own);
}

void require_probability(double p) {
  if (!(p >= 0 && p <= 1))
    throw ValueError(str("MultiHeadAttention: attention dropout must be in [0, 1], got ", p));
}

}  // namespace

MultiHeadAttention::MultiHeadAttention(int64_t width, const MultiHeadAttentionConfig& config,
                                       SharedParameters* shared)
    : MultiHeadAttention(completed(width, config), width, shared) {}

MultiHeadAttention::MultiHeadAttention(const MultiHeadAttentionConfig& c, int64_t width,
                                       SharedParameters* shared)
    : v_proj(c.value_width, c.kv_heads * c.head_dim, c.bias),
      out_proj(c.heads * c.head_dim, width, c.bias),
      width_(width),
      config_(c),
      attention_(make_variant(c, shared)) {
  Traits traits = attention_->traits();
  if (traits.raw_qk && (c.heads * c.head_dim != width || c.kv_heads * c.head_dim != c.key_width))
    throw ValueError(str("MultiHeadAttention(", c.variant, "): queries and keys are the inputs ",
                         "themselves, so heads x head_dim must be their width: ", c.heads, " x ",
                         c.head_dim, " for queries of ", width, ", ", c.kv_heads, " x ", c.head_dim,
                         " for keys of ", c.key_width));
  if (!traits.raw_qk) q_proj = std::make_unique<Linear>(width, c.heads * c.head_dim, c.bias);
  if (!traits.raw_qk && !traits.shared_qk)
    k_proj = std::make_unique<Linear>(c.key_width, c.kv_heads * c.head_dim, c.bias);
  if (q_proj) register_module("q_proj", *q_proj);
  if (k_proj) register_module("k_proj", *k_proj);
  register_module("v_proj", v_proj);
  register_module("out_proj", out_proj);
  register_module("attention", *attention_);
  // PyTorch initialises the packed [3 d, d] matrix at once, whose fan-out is that of all three.
  double gain = std::sqrt(0.5);
  for (Linear* linear : {q_proj.get(), k_proj.get(), &v_proj, &out_proj}) {
    if (!linear) continue;
    if (linear != &out_proj) init::xavier_uniform_(linear->weight, gain);
    if (linear->bias.defined()) init::zeros_(linear->bias);
  }
  if (c.qk_norm) {
    q_norm = std::make_unique<RMSNorm>(c.head_dim);
    register_module("q_norm", *q_norm);
    if (!traits.shared_qk) {
      k_norm = std::make_unique<RMSNorm>(c.head_dim);
      register_module("k_norm", *k_norm);
    }
  }
  if (c.rope) rope_.emplace(c.head_dim, *c.rope);
  require_probability(c.default_dropout);
  require_probability(c.dropout.value_or(0));
  dropout_ = c.dropout.value_or(traits.weight_dropout ? c.default_dropout : 0);
  if (dropout_ > 0 && !traits.weight_dropout)
    throw ValueError(str("MultiHeadAttention: attention dropout ", dropout_, " asked for, but ",
                         attention_->name(), " has no dropout on its weights"));
}

void MultiHeadAttention::require_input(const Tensor& x, int64_t width, const char* what) const {
  if (x.rank() != 3 || x.dim(2) != width)
    throw ShapeError(
        str("MultiHeadAttention: ", what, " [B, T, ", width, "] expected, got ", x.shape()));
}

Tensor MultiHeadAttention::project_queries(const Tensor& query) const {
  require_input(query, width_, "query");
  Tensor q = split_heads(q_proj ? q_proj->forward(query) : query, heads());  // [B, H, T, D]
  return q_norm ? q_norm->forward(q) : q;
}

Tensor MultiHeadAttention::project_keys(const Tensor& key) const {
  const Linear* linear = k_proj ? k_proj.get() : q_proj.get();  // neither: the keys as they are
  require_input(key, linear ? linear->in() : config_.key_width, "key");
  Tensor k = split_heads(linear ? linear->forward(key) : key, kv_heads());  // [B, Hkv, S, D]
  const RMSNorm* norm = k_norm ? k_norm.get() : q_norm.get();
  return norm ? norm->forward(k) : k;
}

Tensor MultiHeadAttention::project_values(const Tensor& value) const {
  require_input(value, v_proj.in(), "value");
  return split_heads(v_proj.forward(value), kv_heads());  // [B, Hkv, S, D]
}

Tensor MultiHeadAttention::project_out(const Tensor& mixed) const {
  return out_proj.forward(merge_heads(mixed));  // [B, T, width]
}

// Tokens of row b stand at (tokens seen before) - (padding before them) + t.
void MultiHeadAttention::apply_rope(Heads& heads, const Mask& mask,
                                    const DecodeState* state) const {
  // Without a state, padding shifts a whole row, and only differences of positions matter.
  Lengths first;
  if (state) first = state->first_positions(mask, heads.k.dim(2));
  bool alike = first.all_equal() && first.max() >= 0;
  int64_t start = first.max();
  for (Tensor* x : {&heads.q, &heads.k})
    if (x->defined()) *x = alike ? rope_->forward(*x, start) : rope_->forward(*x, first);
}

AttentionCall MultiHeadAttention::decoding_call(const Mask& mask) const {
  AttentionCall call;
  call.mask = mask;
  call.scale = config_.scale;
  return call;
}

AttentionCall MultiHeadAttention::make_call(const Mask& mask, const Tensor& q,
                                            const Tensor& k) const {
  AttentionCall call = decoding_call(mask);
  if (is_training()) call.dropout = static_cast<float>(dropout_);
  if (call.dropout > 0 || attention_->traits().stochastic)
    call.random = default_generator().take(q.dim(0) * heads() * q.dim(2) * k.dim(2));
  return call;
}

Tensor MultiHeadAttention::forward(const Tensor& x, const Mask& mask) const {
  return forward(x, x, x, mask);
}

MultiHeadAttention::Heads MultiHeadAttention::project(const Tensor& query, const Tensor& key,
                                                      const Tensor& value, const Mask& mask,
                                                      const DecodeState* state) const {
  bool self = query.impl() == key.impl();
  if (rope_ && query.defined() && !self)
    throw ValueError("MultiHeadAttention: RoPE rotates self-attention only");
  Tensor q, k, v;  // [B, T, width], [B, S, key_width], [B, S, value_width]
  if (query.defined()) q = self ? mask.finite_tokens(query, 1) : mask.finite_queries(query, 1);
  if (key.defined()) k = self ? q : mask.finite_keys(key, 1);
  if (value.defined()) v = value.impl() == key.impl() ? k : mask.finite_keys(value, 1);
  Heads h;
  if (q.defined()) h.q = project_queries(q);
  if (k.defined()) h.k = project_keys(k);
  if (v.defined()) h.v = project_values(v);
  if (rope_) apply_rope(h, mask, state);
  return h;
}

Tensor MultiHeadAttention::forward(const Tensor& query, const Tensor& key, const Tensor& value,
                                   const Mask& mask) const {
  auto scope = enter();
  Heads h = project(query, key, value, mask);
  AttentionCall call = make_call(mask, h.q, h.k);
  if (AttentionRecorder* recorder = AttentionRecorder::active();
      recorder && attention_->traits().weights) {
    NoGrad guard;
    recorder->record(*this, map(h, call, {}));
  }
  return project_out(attention_->forward(h.q, h.k, h.v, call));
}

Tensor MultiHeadAttention::map(const Heads& heads, AttentionCall call,
                               std::vector<int64_t> rows) const {
  if (rows.empty()) rows = all_rows(heads.q.dim(2));
  call.dropout = 0;
  return attention_->weights(heads.q, heads.k, call, rows);  // [B, H, R, S]
}

Tensor MultiHeadAttention::weights(const Tensor& query, const Tensor& key, const Mask& mask,
                                   std::vector<int64_t> rows) const {
  auto scope = enter();
  Heads h = project(query, key, Tensor(), mask);
  return map(h, make_call(mask, h.q, h.k), std::move(rows));
}

std::unique_ptr<DecodeState> MultiHeadAttention::new_state(int64_t batch, int64_t capacity) const {
  return attention_->new_state(batch, capacity, v_proj.weight.dtype(), v_proj.weight.device());
}

void MultiHeadAttention::absorb(const Tensor& key, const Tensor& value, const Mask& mask,
                                DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  Heads h = project(Tensor(), key, value, mask, &state);
  attention_->absorb(h.k, h.v, decoding_call(mask), state);
}

Tensor MultiHeadAttention::step(const Tensor& x, const Mask& mask, DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  Heads h = project(x, x, x, mask, &state);
  return project_out(attention_->step(h.q, h.k, h.v, decoding_call(mask), state));
}

Tensor MultiHeadAttention::step_cross(const Tensor& query, const Mask& mask,
                                      DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  Heads h = project(query, Tensor(), Tensor(), mask, &state);
  return project_out(attention_->step(h.q, h.k, h.v, decoding_call(mask), state));
}

std::string MultiHeadAttention::type_name() const {
  std::string groups = kv_heads() == heads() ? "" : str(", kv_heads ", kv_heads());
  return str("MultiHeadAttention(", width_, ", heads ", heads(), groups, rope_ ? ", RoPE" : "",
             q_norm ? ", QK norm" : "", dropout_ > 0 ? str(", dropout ", dropout_) : "", ")");
}

}  // namespace heed::nn
