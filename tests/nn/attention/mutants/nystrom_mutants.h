// Nystrom attention: six defects around its landmarks and its pseudo-inverse.
#pragma once

#include <heed/autograd/ops/broadcast.h>
#include <heed/tests/nn/attention/mutants/mutant.h>

namespace heed::test {

enum class NystromFlaw {
  none,
  ignores_causal,       // the masks are built and never used
  means_count_padding,  // segment means are divided by the segment's size, padding included
  pads_in_landmarks,    // padding takes part in the means
  start_of_batch,       // the iteration starts from norms over the whole batch
  zeros_in_front,       // zeros to a multiple of the landmarks in front, not masked without a mask
};

// [B, 1, m, N]: row l averages the tokens of segment l. Landmarks beyond the tokens are rows of 0.
inline Tensor segment_means(const Seen& s, int64_t landmarks, NystromFlaw flaw, DType dtype) {
  int64_t batch = s.q.dim(0), n = s.q.dim(2);
  Ranges keys = s.call.mask.key_ranges(batch, n);
  bool by_position =
      flaw == NystromFlaw::means_count_padding || flaw == NystromFlaw::pads_in_landmarks;
  std::vector<double> weights(static_cast<size_t>(batch * landmarks * n), 0);
  for (int64_t b = 0; b < batch; ++b) {
    int64_t valid = keys.end[static_cast<size_t>(b)], tokens = by_position ? n : valid;
    int64_t used = std::min(landmarks, tokens);
    for (int64_t l = 0; l < used; ++l) {
      int64_t begin = l * tokens / used, end = (l + 1) * tokens / used;
      for (int64_t i = begin; i < end; ++i)
        if (i < valid || flaw == NystromFlaw::pads_in_landmarks)
          weights[static_cast<size_t>((b * landmarks + l) * n + i)] = 1.0 / double(end - begin);
    }
  }
  return Tensor::from(weights, {batch, 1, landmarks, n}).to(dtype);
}

// Six steps of Razavi et al.'s iteration; each matrix has its own start.
inline Tensor pseudo_inverse(const Tensor& w, bool start_of_batch) {
  Tensor rows = max(sum(abs(w), {3}), 2), columns = max(sum(abs(w), {2}), 2);  // [B, H]
  Tensor norm = rows * columns;
  if (start_of_batch) norm = broadcast_to(max(norm.reshape({-1}), 0), norm.shape());
  Tensor safe = where(equal(norm, 0.0), 1.0, norm).unsqueeze(2).unsqueeze(3);
  Tensor z = w.transpose(2, 3) / safe, one = eye(w.dim(2), w.dtype());
  for (int step = 0; step < 6; ++step) {
    Tensor a = matmul(w, z);
    z = 0.25 * matmul(z, 13.0 * one - matmul(a, 15.0 * one - matmul(a, 7.0 * one - a)));
  }
  return z;
}

inline Tensor nystrom_attention(const Seen& s, NystromFlaw flaw) {
  constexpr int64_t kLandmarks = 4;
  int64_t n = s.q.dim(2), front = (kLandmarks - n % kLandmarks) % kLandmarks;
  bool masked = s.call.mask.has_key_padding();
  if (flaw == NystromFlaw::zeros_in_front && front > 0 && !masked && n > 0) {
    Tensor q = pad(s.q, 2, front, 0), k = pad(s.k, 2, front, 0), v = pad(s.v, 2, front, 0);
    return nystrom_attention({s.config, q, k, v, s.call}, flaw).slice(2, front, front + n);
  }
  bool sees_padding = flaw == NystromFlaw::pads_in_landmarks;
  Tensor q = sees_padding ? s.q : s.clean_q(), k = sees_padding ? s.k : s.clean_k();
  Tensor means = segment_means(s, kLandmarks, flaw, q.dtype());            // [B, 1, m, N]
  Tensor used = greater(sum(means, {3}), zeros({1}, q.dtype()));           // [B, 1, m]
  Tensor across = used.unsqueeze(2), down = used.unsqueeze(3);             // as columns, as rows
  Tensor q_land = matmul(means, q), k_land = matmul(means, k);             // [B, H, m, D]
  Tensor keys = nn::Mask(s.call.mask).dense(q.dim(0), 1, n, kCpu, false);  // [B or 1, 1, 1, N]
  Tensor f = softmax_over(across, scaled_scores(q, k_land));               // [B, H, N, m]
  Tensor w =
      softmax_over(logical_and(across, down), scaled_scores(q_land, k_land));     // [B, H, m, m]
  Tensor last = softmax_over(logical_and(keys, down), scaled_scores(q_land, k));  // [B, H, m, N]
  Tensor z = pseudo_inverse(w, flaw == NystromFlaw::start_of_batch);              // [B, H, m, m]
  Tensor out = matmul(f, matmul(z, matmul(last, s.clean_v())));                   // [B, H, N, E]
  return s.call.mask.select_queries(out, 2);
}

// With the convolution of values beside it, which must not see padding either.
inline Tensor nystrom_with_convolution(const Seen& s, bool sees_padding) {
  Tensor v = pad(sees_padding ? s.v : s.clean_v(), 2, 1, 1);  // [B, H, N + 2, E]
  int64_t n = s.v.dim(2);
  Tensor around = 0.2 * v.slice(2, 0, n) + 0.5 * v.slice(2, 1, n + 1) + 0.3 * v.slice(2, 2, n + 2);
  return nystrom_attention(s, NystromFlaw::none) + s.call.mask.select_queries(around, 2);
}

inline Body nystrom_body(NystromFlaw flaw) {
  return [flaw](const Seen& s) { return nystrom_attention(s, flaw); };
}

}  // namespace heed::test
