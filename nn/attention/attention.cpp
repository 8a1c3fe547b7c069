#include <heed/nn/attention/attention.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/widen.h>
#include <heed/core/error.h>
#include <heed/nn/attention/kv_cache.h>

namespace heed::nn {

std::string to_string(DecodeKind kind) {
  switch (kind) {
    case DecodeKind::kv: return "kv";
    case DecodeKind::ring: return "ring";
    case DecodeKind::fixed: return "fixed";
    case DecodeKind::replay: return "replay";
    case DecodeKind::none: return "none";
  }
  return "?";
}

std::string to_string(const Traits& t) {
  std::string out;
  auto add = [&](bool has, const char* name) {
    if (has) out += std::string(name) + ", ";
  };
  add(t.causal, "causal");
  add(t.cross, "cross");
  add(t.key_padding, "key padding");
  add(t.left_padding, "left padding");
  add(t.pair_mask, "pair mask");
  add(t.bias, "bias");
  add(t.weight_dropout, "weight dropout");
  add(t.grouped_heads, "grouped heads");
  add(t.shared_qk, "shared q and k");
  add(t.raw_qk, "raw q and k");
  add(t.weights, "weights");
  add(t.stochastic, "stochastic");
  add(t.row_stochastic, "row-stochastic");
  add(t.permutation, "permutation");
  add(t.gradient == GradientKind::surrogate, "surrogate gradient");
  return out + "decode " + to_string(t.decode);
}

Attention::Attention(AttentionConfig config) : config_(std::move(config)) {
  const AttentionConfig& c = config_;
  const std::string who = c.options.variant().empty() ? "attention" : c.options.variant();
  if (c.heads < 1 || c.kv_heads < 1 || c.head_dim < 1 || c.value_dim < 1 || c.max_length < 0)
    throw ValueError(str(who, ": sizes must be positive, got heads ", c.heads, ", kv_heads ",
                         c.kv_heads, ", head_dim ", c.head_dim, ", value_dim ", c.value_dim,
                         ", max_length ", c.max_length));
  if (c.heads % c.kv_heads != 0)
    throw ValueError(str(who, ": kv_heads must divide heads, got ", c.kv_heads, " and ", c.heads));
}

std::string Attention::type_name() const {
  std::string options = config_.options.to_string();
  return str(name(), options.empty() ? "" : ":" + options, config_.causal ? " (causal)" : "");
}

void Attention::refuse(const std::string& what, const std::string& trait) const {
  Traits t = traits();
  auto why = t.why.find(trait);
  throw ValueError(
      str(name(), ": ", what, " is not supported", why == t.why.end() ? "" : ": " + why->second));
}

void Attention::check_config() const {
  Traits t = traits();
  if (config_.causal && !t.causal) refuse("causal attention", "causal");
  if (config_.kv_heads != config_.heads && !t.grouped_heads)
    refuse(
        str("grouped-query attention (", config_.kv_heads, " key heads for ", config_.heads, ")"),
        "grouped_heads");
}

void Attention::refuse_offset(const AttentionCall& call) const {
  if (call.mask.terms().offset.defined())
    throw ValueError(str(name(), ": an offset is not supported: query i stands at key i"));
}

void Attention::check_query(const Tensor& q) const {
  const AttentionConfig& c = config_;
  if (q.rank() != 4 || q.dim(1) != c.heads || q.dim(3) != c.head_dim)
    throw ShapeError(
        str(name(), ": q [B, ", c.heads, ", T, ", c.head_dim, "] expected, got ", q.shape()));
}

void Attention::check_keys(const Tensor& k, const Tensor& v, int64_t batch, DType dtype) const {
  const AttentionConfig& c = config_;
  if (k.rank() != 4 || k.dim(0) != batch || k.dim(1) != c.kv_heads || k.dim(3) != c.head_dim)
    throw ShapeError(str(name(), ": k [", batch, ", ", c.kv_heads, ", S, ", c.head_dim,
                         "] expected, got ", k.shape()));
  if (v.defined() && (v.rank() != 4 || v.dim(0) != batch || v.dim(1) != c.kv_heads ||
                      v.dim(2) != k.dim(2) || v.dim(3) != c.value_dim))
    throw ShapeError(str(name(), ": v [", batch, ", ", c.kv_heads, ", ", k.dim(2), ", ",
                         c.value_dim, "] expected, got ", v.shape()));
  if (k.dtype() != dtype || (v.defined() && v.dtype() != dtype))
    throw DTypeError(str(name(), ": one dtype expected, got q ", dtype, ", k ", k.dtype(), ", v ",
                         v.defined() ? v.dtype() : dtype));
}

void Attention::check_left_padding(const Mask& mask) const {
  const Lengths& begin = mask.terms().key_begin;
  for (int64_t b = 0; b < begin.size(); ++b)
    if (begin[b] > 0)
      refuse(str("left padding (row ", b, " begins at token ", begin[b], ", where 0 is expected)"),
             "left_padding");
}

void Attention::check_supported(const AttentionCall& call, const Shape& map, DType dtype) const {
  const Mask& mask = call.mask;
  check_terms(mask.terms(), map, dtype, name());
  Traits t = traits();
  if (config_.causal && !t.causal) refuse("causal attention", "causal");
  if (mask.terms().causal)
    throw ValueError(str(name(), ": causal belongs to AttentionConfig, not to a call's mask"));
  if (mask.has_key_padding() && !t.key_padding) refuse("key padding", "key_padding");
  if ((mask.has_pairs() || mask.has_window()) && !t.pair_mask)
    refuse("a pair mask or window", "pair_mask");
  if (mask.has_bias() && !t.bias) refuse("a bias on the scores", "bias");
  if (!(call.dropout >= 0 && call.dropout <= 1))
    throw ValueError(str(name(), ": dropout must be in [0, 1], got ", call.dropout));
  if (call.dropout > 0 && !t.weight_dropout) refuse("dropout on the weights", "weight_dropout");
  if (call.scale && !t.scale) refuse(str("a scale (", *call.scale, ")"), "scale");
}

void Attention::check_call(const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionCall& call) const {
  check_query(q);
  check_keys(k, v, q.dim(0), q.dtype());
  check_supported(call, {q.dim(0), config_.heads, q.dim(2), k.dim(2)}, q.dtype());
  Traits t = traits();
  if (!t.left_padding) check_left_padding(call.mask);
  if (!t.cross && q.dim(2) != k.dim(2))
    refuse(str("cross-attention (", q.dim(2), " queries, ", k.dim(2), " keys)"), "cross");
}

void Attention::check_step(const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionCall& call, const DecodeState& state) const {
  if (k.defined() != v.defined()) throw ValueError(str(name(), ": step takes k and v, or neither"));
  if (call.dropout > 0) throw ValueError(str(name(), ": dropout has no meaning while decoding"));
  if (q.defined() && call.mask.terms().offset.defined())
    throw ValueError(str(name(), ": step sets the offset itself"));
  const Tensor& given = q.defined() ? q : k;
  if (!given.defined() || given.rank() != 4)
    throw ShapeError(str(name(), ": new tokens [B, heads, N, ", config_.head_dim,
                         "] expected, got ",
                         given.defined() ? to_string(given.shape()) : "nothing"));
  if (given.dim(0) != state.batch())
    throw ShapeError(
        str(name(), ": ", state.batch(), " rows expected, as the state has, got ", given.shape()));
  if (given.dtype() != state.dtype())
    throw DTypeError(str(name(), ": the state holds ", state.dtype(), ", got ", given.dtype()));
  if (q.defined()) check_query(q);
  if (k.defined()) check_keys(k, v, given.dim(0), given.dtype());
  int64_t fresh = given.dim(2);
  if (k.defined() && k.dim(2) != fresh)
    throw ShapeError(str(name(), ": step takes one key a query, got ", k.dim(2), " keys and ",
                         fresh, " queries; absorb takes keys alone"));
  // Pair terms cover all keys that the queries will see.
  int64_t keys = state.held().max();
  const AttentionTerms& terms = call.mask.terms();
  auto fits = [&](const Lengths& x) { return !x.defined() || x.size() == state.batch(); };
  if (k.defined() && fits(terms.key_begin) && fits(terms.key_end)) {
    Lengths first = state.first_places(call.mask, fresh);
    Ranges valid = call.mask.key_ranges(state.batch(), fresh);
    for (int64_t b = 0; b < state.batch(); ++b)
      keys = std::max(keys, first[b] + valid.end[static_cast<size_t>(b)]);
  }
  check_supported(call, {state.batch(), config_.heads, fresh, keys}, given.dtype());
  // A cache leaves padding out, so its tokens keep their positions. Sums and projected keys do not.
  Traits t = traits();
  if (!t.left_padding && t.decode == DecodeKind::fixed) check_left_padding(call.mask);
}

double Attention::default_scale() const {
  return 1 / std::sqrt(static_cast<double>(config_.head_dim));
}

FusedAttentionOptions Attention::fused_options(const AttentionCall& call) const {
  FusedAttentionOptions options;
  options.scale = scale_of(call);
  options.dropout = call.dropout;
  options.key = call.random;
  return options;
}

Tensor Attention::weights(const Tensor&, const Tensor&, const AttentionCall&,
                          const std::vector<int64_t>&) const {
  refuse("a map of weights", "weights");
}

std::unique_ptr<DecodeState> Attention::new_state(int64_t batch, int64_t capacity, DType dtype,
                                                  Device device) const {
  DecodeKind kind = traits().decode;
  if (kind != DecodeKind::kv && kind != DecodeKind::replay) refuse("decoding", "decode");
  return std::make_unique<KVCache>(batch, config_.kv_heads, config_.head_dim, config_.value_dim,
                                   capacity, dtype, device);
}

void Attention::absorb(const Tensor& k, const Tensor& v, const AttentionCall& call,
                       DecodeState& state) const {
  if (traits().decode == DecodeKind::none) refuse("decoding", "decode");
  check_step(Tensor(), k, v, call, state);
  state_as<KVCache>(state).append(k, v, call.mask);
}

Tensor Attention::step(const Tensor&, const Tensor&, const Tensor&, const AttentionCall&,
                       DecodeState&) const {
  refuse("decoding", "decode");
}
std::optional<ExactLimit> Attention::exact_limit(const AttentionShape&) const {
  return std::nullopt;
}

std::vector<int64_t> Attention::reach(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                      int64_t i) const {
  if (i < 0 || i >= q.dim(2)) throw ValueError(str(name(), ": reach of row ", i, " of ", q.dim(2)));
  // The keys that row i of batch row 0 sees in some head.
  int64_t batch = q.dim(0), keys = k.dim(2);
  Tensor row =
      call.mask.rows(i, 1, batch, q.dim(2), keys).dense(batch, 1, keys, q.device(), config_.causal);
  std::vector<double> seen = row.slice(0, 0, 1).to_vector();  // [1, H or 1, 1, S]
  std::vector<int64_t> list;
  for (int64_t j = 0; j < keys; ++j)
    for (size_t at = static_cast<size_t>(j); at < seen.size(); at += static_cast<size_t>(keys))
      if (seen[at] != 0) {
        list.push_back(j);
        break;
      }
  return list;
}

bool Attention::needs_widening(const Tensor& x) {
  return x.defined() && x.dtype() != accumulate_dtype(x.dtype());
}

static AttentionCall widened(AttentionCall call, DType dtype) {
  call.mask = call.mask.to(accumulate_dtype(dtype));
  return call;
}

// The dtypes are compared first: afterwards they are equal.
Tensor Attention::forward_widened(const Tensor& q, const Tensor& k, const Tensor& v,
                                  const AttentionCall& call) const {
  check_call(q, k, v, call);
  Tensor wide_q = widened(q), wide_k = k.impl() == q.impl() ? wide_q : widened(k);
  return forward(wide_q, wide_k, widened(v), widened(call, q.dtype())).to(q.dtype());
}

Tensor Attention::weights_widened(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                  const std::vector<int64_t>& rows) const {
  check_call(q, k, Tensor(), call);
  Tensor wide_q = widened(q), wide_k = k.impl() == q.impl() ? wide_q : widened(k);
  return weights(wide_q, wide_k, widened(call, q.dtype()), rows).to(q.dtype());
}

void Attention::absorb_widened(const Tensor& k, const Tensor& v, const AttentionCall& call,
                               DecodeState& state) const {
  check_keys(k, v, state.batch(), k.dtype());
  absorb(widened(k), v.defined() ? widened(v) : v, widened(call, k.dtype()), state);
}

Tensor Attention::step_widened(const Tensor& q, const Tensor& k, const Tensor& v,
                               const AttentionCall& call, DecodeState& state) const {
  if (k.defined()) check_keys(k, v, state.batch(), q.dtype());
  auto wide = [](const Tensor& x) { return x.defined() ? widened(x) : x; };
  return step(widened(q), wide(k), wide(v), widened(call, q.dtype()), state).to(q.dtype());
}

Cost Attention::cost(const AttentionShape&, Pass) const { refuse("a cost model", "cost"); }
void Attention::on_step(int64_t, RandomKey) {}

void Attention::wrong_state() const {
  throw ValueError(str(name(), ": the decode state was made by another variant"));
}

void attention_on_step(Module& root, int64_t step, RandomKey key) {
  uint64_t index = 0;
  root.visit([&](const std::string&, Module& module) {
    // Each gets its own seed, since variants take different amounts of random numbers.
    if (auto* attention = dynamic_cast<Attention*>(&module)) {
      std::array<uint32_t, 4> bits = philox(key.seed, key.offset + index++);
      attention->on_step(step, {uint64_t{bits[0]} << 32 | bits[1], 0});
    }
  });
}

}  // namespace heed::nn
