#include <heed/nn/attention/linformer.h>

#include <algorithm>
#include <cmath>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/attention/score_map.h>
#include <heed/nn/init.h>

namespace heed::nn {

namespace {

Tensor projection(int64_t rows, int64_t columns) {
  Tensor e = zeros({rows, columns});
  init::normal_(e, 0, 1 / std::sqrt(static_cast<double>(rows)));
  return e;  // [k, max_length]
}

// e [k, N] x [B, Hkv, N, D] -> [B, Hkv, k, D], as one product of two matrices: neither it nor its
// backward repeats E for each head.
Tensor project(const Tensor& e, const Tensor& x) {
  int64_t b = x.dim(0), h = x.dim(1), n = x.dim(2), d = x.dim(3);
  Tensor columns = x.permute({2, 0, 1, 3}).reshape({n, b * h * d});     // [N, B Hkv D]
  Tensor projected = matmul(e.to(x.dtype()), columns);                  // [k, B Hkv D]
  return projected.reshape({e.dim(0), b, h, d}).permute({1, 2, 0, 3});  // [B, Hkv, k, D]
}

Tensor corner(const Tensor& e, int64_t rows, int64_t begin, int64_t end) {
  return e.slice(0, 0, rows).slice(1, begin, end);  // [rows, end - begin]
}

}  // namespace

LinformerAttention::LinformerAttention(AttentionConfig config, SharedParameters& shared)
    : Attention(std::move(config)) {
  const AttentionConfig& c = this->config();
  projected_length_ = c.options.integer("k", 256, 1);
  share_ = c.options.choice("share", "none", {"none", "kv", "layer"});
  if (c.max_length < 1)
    throw ValueError(
        "linformer: max_length is 0, but its projections have one column for each position; give "
        "the layer a max_length > 0");
  projected_length_ = std::min(projected_length_, c.max_length);
  auto make = [&] { return projection(projected_length_, c.max_length); };
  E = share_ == "layer"
          ? shared.get(str("linformer.E ", projected_length_, " x ", c.max_length), make)
          : make();
  register_parameter("E", E);
  if (share_ == "none") {
    F = make();
    register_parameter("F", F);
  }
}

Traits LinformerAttention::traits() const {
  Traits t;
  t.cross = t.key_padding = t.weight_dropout = t.grouped_heads = t.weights = true;
  t.decode = DecodeKind::fixed;
  t.why = {
      {"causal", "each projected key mixes all positions, later ones too"},
      {"left_padding", "E and F belong to positions, which padding before the tokens moves"},
      {"pair_mask", "a projected key has no position, so there is no pair to hide"},
      {"bias", "a projected key has no position, so there is no pair to add to"},
  };
  return t;
}

void LinformerAttention::require_length(int64_t length) const {
  if (length > config().max_length)
    throw ValueError(str("linformer: a sequence of ", length, " keys is longer than max_length ",
                         config().max_length, ", the columns of E and F"));
}

LinformerAttention::Part LinformerAttention::part(const AttentionCall& call, int64_t batch,
                                                  int64_t keys) const {
  const AttentionTerms& mask = call.mask.terms();
  Part p{0, keys, {}};
  p.terms.query_begin = mask.query_begin;
  p.terms.query_end = mask.query_end;
  Lengths used;
  if (call.mask.has_key_padding()) {
    std::vector<int64_t> count = call.mask.key_ranges(batch, keys).end;
    p.columns = Lengths(count).max();
    for (int64_t& n : count) n = std::min(n, projected_length_);
    used = count;
  }
  require_length(p.columns);
  p.rows = std::min(projected_length_, p.columns);
  // Projected keys beyond a row's number of keys would be more mixtures of the same keys. Without
  // them, k = max_length with E = I is dense attention for shorter rows, too.
  if (!used.all_equal()) p.terms.key_end = used;
  return p;
}

Tensor LinformerAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                                   const AttentionCall& call) const {
  if (needs_widening(q)) return forward_widened(q, k, v, call);
  auto scope = enter();
  check_call(q, k, v, call);
  Part p = part(call, q.dim(0), k.dim(2));
  Tensor keys = call.mask.select_keys(k, 2).slice(2, 0, p.columns);            // [B, Hkv, N, D]
  Tensor values = call.mask.select_keys(v, 2).slice(2, 0, p.columns);          // [B, Hkv, N, E]
  keys = project(corner(E, p.rows, 0, p.columns), keys);                       // [B, Hkv, k, D]
  values = project(corner(value_projection(), p.rows, 0, p.columns), values);  // [B, Hkv, k, E]
  return fused_attention(q, keys, values, p.terms, fused_options(call));       // [B, H, T, E]
}

Tensor LinformerAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                   const std::vector<int64_t>& rows) const {
  if (needs_widening(q)) return weights_widened(q, k, call, rows);
  check_call(q, k, Tensor(), call);
  int64_t batch = q.dim(0), queries = q.dim(2), keys = k.dim(2);
  Part p = part(call, batch, keys);
  Mask mask = Mask::key_padding({}, p.terms.key_end) &
              Mask::query_padding(p.terms.query_begin, p.terms.query_end);
  Tensor visible = mask.dense(batch, queries, p.rows, q.device());  // [B or 1, 1, T, k]
  visible = take_rows(broadcast_to(visible, {batch, 1, queries, p.rows}), rows, name());
  Tensor valid = call.mask.select_keys(k, 2).slice(2, 0, p.columns);       // [B, Hkv, N, D]
  Tensor projected = project(corner(E, p.rows, 0, p.columns), valid);      // [B, Hkv, k, D]
  Tensor asked = take_rows(call.mask.select_queries(q, 2), rows, name());  // [B, H, R, D]
  Tensor map = softmax_map(asked, projected, scale_of(call), visible);     // [B, H, R, k]
  map = drop_weights(map, rows, queries, call);
  Tensor spread = corner(value_projection(), p.rows, 0, p.columns).to(q.dtype());  // [k, N]
  map = pad(matmul(map, spread), 3, 0, keys - p.columns);                          // [B, H, R, S]
  return call.mask.select_keys(map, 3);
}

std::unique_ptr<DecodeState> LinformerAttention::new_state(int64_t batch, int64_t, DType dtype,
                                                           Device device) const {
  const AttentionConfig& c = config();
  return std::make_unique<ProjectedState>(batch, c.kv_heads, projected_length_, c.head_dim,
                                          c.value_dim, accumulate_dtype(dtype), device);
}

void LinformerAttention::absorb(const Tensor& k, const Tensor& v, const AttentionCall& call,
                                DecodeState& state) const {
  if (needs_widening(k)) return absorb_widened(k, v, call, state);
  NoGrad guard;
  ProjectedState& s = state_as<ProjectedState>(state);
  check_step(Tensor(), k, v, call, s);
  take_in(k, v, call.mask, s);
}

void LinformerAttention::take_in(const Tensor& k, const Tensor& v, const Mask& mask,
                                 ProjectedState& s) const {
  int64_t batch = s.batch(), count = k.dim(2);
  Ranges fresh = mask.key_ranges(batch, count);
  for (int64_t b = 0; b < batch; ++b) require_length(s.held()[b] + fresh.size(b));
  // Rows [row, row + rows) of a projection `held`, with their new tokens.
  auto added = [&](const Tensor& held, const Tensor& x, const Tensor& e, int64_t row,
                   int64_t rows) {
    int64_t at = s.held()[row], n = fresh.size(row);
    Tensor tokens = x.slice(0, row, row + rows).slice(2, 0, n);  // [rows, Hkv, n, D]
    return held.slice(0, row, row + rows) +
           project(corner(e, projected_length_, at, at + n), tokens);
  };
  const bool together = fresh.equal && s.held().all_equal();
  auto all = [&](const Tensor& held, const Tensor& x, const Tensor& e) {
    if (batch == 0) return held;
    if (together) return added(held, x, e, 0, batch);
    std::vector<Tensor> parts;
    for (int64_t b = 0; b < batch; ++b) parts.push_back(added(held, x, e, b, 1));
    return concat(parts, 0);
  };
  Tensor keys = all(s.keys(), k, E), values = all(s.values(), v, value_projection());
  s.set(keys, values, mask, count);
}

Tensor LinformerAttention::step(const Tensor& q, const Tensor& k, const Tensor& v,
                                const AttentionCall& call, DecodeState& state) const {
  if (needs_widening(q)) return step_widened(q, k, v, call, state);
  NoGrad guard;
  auto scope = enter();
  ProjectedState& s = state_as<ProjectedState>(state);
  check_step(q, k, v, call, s);
  StepGuard past(s);
  if (k.defined()) take_in(k, v, call.mask, s);
  AttentionTerms terms;
  terms.query_begin = call.mask.terms().query_begin;
  terms.query_end = call.mask.terms().query_end;
  std::vector<int64_t> used = s.held().values();
  for (int64_t& n : used) n = std::min(n, projected_length_);
  terms.key_end = used;
  return fused_attention(q, s.keys(), s.values(), terms, fused_options(call));  // [B, H, T, E]
}

std::optional<ExactLimit> LinformerAttention::exact_limit(const AttentionShape& shape) const {
  ExactLimit limit;
  limit.options = Options(name());
  limit.options.set("k", std::to_string(std::max<int64_t>(shape.keys, 1)));
  limit.prepare = [](Attention& attention) {  // E = F = I
    auto& a = dynamic_cast<LinformerAttention&>(attention);
    NoGrad guard;
    for (Tensor* e : {&a.E, &a.F}) {
      if (!e->defined()) continue;
      e->fill_(0);
      int64_t n = std::min(e->dim(0), e->dim(1));
      e->slice(0, 0, n).slice(1, 0, n).copy_(eye(n, e->dtype()));
    }
  };
  limit.reference = dense_reference(config());
  return limit;
}

Cost LinformerAttention::cost(const AttentionShape& s, Pass pass) const {
  int64_t size = static_cast<int64_t>(size_of(s.dtype)), d = s.head_dim, e = s.value_dim;
  int64_t wide = static_cast<int64_t>(size_of(accumulate_dtype(s.dtype)));
  int64_t length = std::min(projected_length_, s.keys), heads = s.batch * s.heads,
          kv = s.batch * s.kv_heads;
  int64_t q = heads * s.queries * d, out = heads * s.queries * e, lse = heads * s.queries;
  int64_t k = kv * s.keys * d, v = kv * s.keys * e;
  int64_t projected = kv * length * (d + e), matrices = 2 * length * s.keys;
  bool back = pass == Pass::backward;
  // Forward: E K, F V, Q K_b^T, P V_b. Backward: dK, dV, dE, dF, and five products of the map.
  int64_t along = 2 * kv * length * s.keys * (d + e), across = 2 * heads * s.queries * length;
  Cost c;
  c.flops = back ? 2 * along + across * (3 * d + 2 * e) : along + across * (d + e);
  c.bytes = (q + k + v + matrices + 2 * projected + out + lse) * size;
  if (back) c.bytes += (out + q + k + v + matrices + projected) * size;
  // The product needs the heads of keys and values side by side: a copy, unless there is one head.
  int64_t copies = kv > 1 ? k + v : 0;
  c.activation_bytes = (q + k + v + copies + projected + out + lse) * wide;
  c.state_bytes = kv * projected_length_ * (d + e) * wide;
  return c;
}

}  // namespace heed::nn
