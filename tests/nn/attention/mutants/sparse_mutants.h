// Sparse attention: LSH, top-k and BigBird, seven defects.
#pragma once

#include <algorithm>

#include <heed/autograd/ops/gather.h>
#include <heed/tests/nn/attention/mutants/mutant.h>

namespace heed::test {

// h(x) = argmax [x R; -x R] of one round. [B, H, N] as numbers
inline std::vector<double> buckets_of(const Seen& s, int64_t round) {
  NoGrad guard;
  RandomKey key{s.call.random.seed + static_cast<uint64_t>(round), s.call.random.offset};
  Tensor r(random_normal({s.q.dim(3), 2}, 0, 1, key, s.q.dtype()));
  Tensor x = matmul(s.clean_q(), r);  // [B, H, N, 2]
  return argmax(concat({x, -x}, 3), 3).to_vector();
}

inline Tensor pair_tensor(const Seen& s,
                          const std::function<bool(int64_t, int64_t, int64_t)>& keep) {
  int64_t n = s.q.dim(2), maps = s.q.dim(0) * s.q.dim(1);
  std::vector<double> out;
  for (int64_t m = 0; m < maps; ++m)
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < n; ++j) out.push_back(keep(m, i, j));
  return greater(Tensor::from(out, {s.q.dim(0), s.q.dim(1), n, n}), zeros({1}, DType::f64));
}

// Pairs of one bucket, of this round. bool [B, H, N, N]
inline Tensor same_bucket(const Seen& s, int64_t round) {
  std::vector<double> bucket = buckets_of(s, round);
  int64_t n = s.q.dim(2);
  auto at = [&](int64_t m, int64_t i) { return bucket[static_cast<size_t>(m * n + i)]; };
  return pair_tensor(s, [&](int64_t m, int64_t i, int64_t j) { return at(m, i) == at(m, j); });
}

constexpr int64_t kRounds = 3;

// Softmax over the pairs of any round: what merging the rounds must give.
inline Tensor lsh_explicit(const Seen& s) {
  Tensor keep = same_bucket(s, 0);
  for (int64_t r = 1; r < kRounds; ++r) keep = logical_or(keep, same_bucket(s, r));
  Tensor map =
      softmax_over(logical_and(keep, s.visible()), scaled_scores(s.clean_q(), s.clean_q()));
  return matmul(map, s.clean_v());
}

enum class LshFlaw { none, uniform_rounds, unmasked_empty_rows };

// Rounds merged by their log-sum-exp; a pair of c rounds counts 1 / c in each.
inline Tensor lsh_attention(const Seen& s, LshFlaw flaw) {
  Tensor scores = scaled_scores(s.clean_q(), s.clean_q()), visible = s.visible();
  std::vector<Tensor> keep, sums, outs;
  Tensor count;
  for (int64_t r = 0; r < kRounds; ++r) {
    keep.push_back(logical_and(same_bucket(s, r), visible));
    Tensor one = as_number(keep.back(), s.q.dtype());
    count = r == 0 ? one : count + one;
  }
  if (flaw == LshFlaw::uniform_rounds) count = ones(count.shape(), count.dtype());
  Tensor logits = scores - log(clamp(count, 1, 1e9));  // [B, H, N, N]
  for (const Tensor& k : keep) {
    Tensor shown = k;
    if (flaw == LshFlaw::unmasked_empty_rows) {  // "avoid NaN": such a row sees everything
      Tensor any = greater(sum(as_number(k, s.q.dtype()), {3}, true), zeros({1}, s.q.dtype()));
      shown = logical_or(k, logical_not(any));
    }
    Tensor l = where(shown, logits, -1e30);
    sums.push_back(logsumexp(l, 3, true));                             // [B, H, N, 1]
    outs.push_back(matmul(softmax_over(shown, logits), s.clean_v()));  // [B, H, N, E]
  }
  Tensor share = softmax(stack(sums, 0), 0);  // [rounds, B, H, N, 1]
  if (flaw == LshFlaw::uniform_rounds) share = ones(share.shape(), share.dtype()) / double(kRounds);
  return sum(share * stack(outs, 0), {0});
}

// The published chunks, used causally: tokens sorted by bucket, each chunk of three sees itself and
// the one before. A later token moves the borders of chunks that earlier tokens are in.
inline Tensor causal_chunks(const Seen& s) {
  std::vector<double> bucket = buckets_of(s, 0);
  int64_t n = s.q.dim(2);
  std::vector<int64_t> chunk(bucket.size());
  for (size_t m = 0; m < bucket.size() / static_cast<size_t>(std::max<int64_t>(n, 1)); ++m) {
    size_t base = m * static_cast<size_t>(n);
    std::vector<size_t> order;
    for (size_t i = 0; i < static_cast<size_t>(n); ++i) order.push_back(i);
    std::stable_sort(order.begin(), order.end(),
                     [&](size_t a, size_t b) { return bucket[base + a] < bucket[base + b]; });
    for (size_t rank = 0; rank < order.size(); ++rank)
      chunk[base + order[rank]] = static_cast<int64_t>(rank / 3);
  }
  Tensor keep = pair_tensor(s, [&](int64_t m, int64_t i, int64_t j) {
    int64_t mine = chunk[static_cast<size_t>(m * n + i)],
            other = chunk[static_cast<size_t>(m * n + j)];
    return other == mine || other == mine - 1;
  });
  Tensor map =
      softmax_over(logical_and(keep, s.visible()), scaled_scores(s.clean_q(), s.clean_q()));
  return matmul(map, s.clean_v());
}

constexpr int64_t kBest = 3;

enum class TopkFlaw { none, keeps_ties, raises_beyond, never_picks_nan };

inline Tensor topk_attention(const Seen& s, TopkFlaw flaw) {
  Tensor scores = scaled_scores(s.clean_q(), s.clean_k());  // [B, H, T, S]
  Tensor visible = s.visible();
  scores = where(visible, scores, -std::numeric_limits<double>::infinity());
  int64_t count = flaw == TopkFlaw::raises_beyond ? kBest : std::min(kBest, s.k.dim(2));
  if (count == 0) return matmul(scores, s.clean_v());  // no keys: zeros
  if (flaw == TopkFlaw::never_picks_nan)
    scores = where(equal(scores, scores), scores, -std::numeric_limits<double>::infinity());
  Selected best = topk(scores.detach(), count);
  Tensor keep;
  if (flaw == TopkFlaw::keeps_ties) {
    keep = greater_equal(scores, best.values.slice(3, count - 1, count));
  } else {
    Tensor marks = scatter_add(zeros(scores.shape(), scores.dtype()), 3, best.indices,
                               ones(best.indices.shape(), scores.dtype()));
    keep = greater(marks, zeros({1}, scores.dtype()));
  }
  return matmul(softmax_over(logical_and(keep, visible), scores), s.clean_v());
}

// Windows of two tokens each way; short inputs switch the layer to full attention, for good.
inline Body window_body(bool sticky) {
  auto full = std::make_shared<bool>(false);
  return [sticky, full](const Seen& s) {
    if (sticky && s.q.dim(2) <= 4) *full = true;
    nn::Mask window = *full ? nn::Mask() : nn::Mask::window(2, 2);
    Tensor near = window.dense(s.q.dim(0), s.q.dim(2), s.k.dim(2), s.q.device());
    Tensor map = softmax_over(logical_and(near, s.visible()),
                              scaled_scores(s.clean_q(), s.clean_k()));  // [B, H, T, S]
    return matmul(map, s.clean_v());
  };
}

}  // namespace heed::test
