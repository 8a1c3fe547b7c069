// Kernel and efficient attention: five defects.
#pragma once

#include <heed/tests/nn/attention/mutants/mutant.h>

namespace heed::test {

inline Tensor phi(const Tensor& x) { return elu(x) + 1.0; }

// phi(Q) phi(K)^T over the visible pairs, rows divided by their sums.
inline Tensor kernel_attention(const Seen& s) {
  Tensor map = matmul(phi(s.clean_q()), phi(s.clean_k()).transpose(2, 3));  // [B, H, T, S]
  map = where(s.visible(), map, 0.0);
  Tensor total = sum(map, {3}, true);  // [B, H, T, 1]
  Tensor safe = where(greater(total, zeros({1}, total.dtype())), total, 1.0);
  return matmul(map / safe, s.clean_v());  // [B, H, T, E]
}

// The cumulative sum runs over channels: token i meets itself alone. Nothing leaks from the future,
// since nothing comes from anywhere.
inline Tensor cumsum_over_channels(const Seen& s) {
  if (!s.causal()) return kernel_attention(s);
  Tensor q = phi(s.clean_q()), k = phi(s.clean_k()), v = s.clean_v();
  Tensor context = cumsum(k.unsqueeze(4) * v.unsqueeze(3), 3);  // [B, H, T, D, E]
  Tensor top = sum(q.unsqueeze(4) * context, {3});              // [B, H, T, E]
  Tensor below = sum(q * cumsum(k, 3), {3}, true);              // [B, H, T, 1]
  return s.call.mask.select_queries(s.call.mask.select_keys(top / below, 2), 2);
}

// Values are masked, keys are not: padding stays in the denominator.
inline Tensor masks_values_only(const Seen& s) {
  Tensor map = matmul(phi(s.clean_q()), phi(s.clean_k()).transpose(2, 3));  // [B, H, T, S]
  if (s.causal())
    map = where(nn::Mask().dense(1, s.q.dim(2), s.k.dim(2), s.q.device(), true), map, 0.0);
  return s.call.mask.select_queries(matmul(map / sum(map, {3}, true), s.clean_v()), 2);
}

// No denominator.
inline Tensor without_normaliser(const Seen& s) {
  Tensor map = matmul(phi(s.clean_q()), phi(s.clean_k()).transpose(2, 3));
  return matmul(where(s.visible(), map, 0.0), s.clean_v());  // [B, H, T, E]
}

// Queries and keys are scaled by the length instead of the width.
inline Tensor scaled_by_length(const Seen& s) {
  double scale = std::pow(static_cast<double>(s.q.dim(2)), -0.25);
  Tensor q = scale * s.clean_q(), k = scale * s.clean_k();
  return kernel_attention({s.config, q, k, s.v, s.call});
}

// y_i = sum_f softmax(q_i)_f sum_j softmax_over_positions(k_f)_j v_j: each feature has its own
// denominator.
inline Tensor efficient_attention(const Seen& s) {
  Tensor visible = s.visible().unsqueeze(4);  // [B or 1, 1, T, S, 1]
  Tensor k = s.clean_k().unsqueeze(2);        // [B, H, 1, S, D]
  double hidden = -std::numeric_limits<double>::infinity();
  Tensor by_feature = softmax(where(visible, k, hidden), 3);                 // [B, H, T, S, D]
  Tensor map = sum(by_feature * softmax(s.clean_q(), 3).unsqueeze(3), {4});  // [B, H, T, S]
  return matmul(map, s.clean_v());
}

// The causal form divides by one number for all features: another operator; and it takes exp(k) as
// it is.
inline Tensor one_denominator(const Seen& s, bool raw) {
  if (!s.causal()) return efficient_attention(s);
  Tensor q = softmax(s.clean_q(), 3), k = s.clean_k();
  Tensor e = raw ? exp(k) : exp(k - 60.0 * tanh(k / 60.0) + tanh(k));  // the second is tame
  Tensor map = where(s.visible(), matmul(q, e.transpose(2, 3)), 0.0);  // [B, H, T, S]
  return matmul(map / clamp(sum(map, {3}, true), 1e-3, 1e300), s.clean_v());
}

// The right operator, by sums of exp(k) without a maximum taken off.
inline Tensor raw_exponentials(const Seen& s) {
  if (!s.causal()) return efficient_attention(s);
  Tensor q = softmax(s.clean_q(), 3), e = exp(s.clean_k());  // [B, H, T, D]
  e = s.call.mask.select_keys(e, 2);
  Tensor context = cumsum(e.unsqueeze(4) * s.clean_v().unsqueeze(3), 2);  // [B, H, T, D, E]
  Tensor sums = clamp(cumsum(e, 2), 1e-300, 1e300).unsqueeze(4);          // [B, H, T, D, 1]
  return s.call.mask.select_queries(sum(q.unsqueeze(4) * context / sums, {3}), 2);
}

}  // namespace heed::test
