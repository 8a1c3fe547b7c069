// LSH attention (Reformer: Kitaev et al. 2020, arXiv 2001.04451): queries and keys are the same
// vectors, and a token attends to the tokens whose directions fall into the same hash bucket.
//
//   k_j = q_j / |q_j|,   bucket_r(x) = argmax [x R_r; -x R_r],  R_r [D, buckets / 2] random, fixed
//   o_i = softmax over the union of the rounds' candidates of (scale q_i . k_j) v_j
//
// Causal, the candidates of round r are the last `chunk` tokens of i's bucket by position, i itself
// included. Otherwise the tokens are sorted by (bucket, position) and cut into chunks; candidates
// are the tokens of i's bucket in i's chunk and the one before, without wrap-around. The score of a
// token with itself is the constant -5e4: it attends to itself only if it has no other candidate.
//
// The union equals the paper's merge of the rounds by their log-sum-exps, in which a pair found c
// times has log c subtracted from its score: both count each pair once. Time is
// O(r T chunk (D + E) + r T buckets D), memory O(r T chunk).
//
//   auto a = make_attention("lsh:rounds=4,buckets=32,chunk=64", config);
//
// Options: rounds (4), chunk (64), buckets (1 or even; default max_length / chunk rounded up to
// even, 16 where max_length is unknown; never from a call's length), seed (0). The rotations are a
// saved buffer [H, rounds, D, buckets / 2] of the default dtype. See docs/attention/lsh.md.
#pragma once

#include <heed/autograd/ops/selected_attention.h>
#include <heed/nn/attention/attention.h>

namespace heed::nn {

class LshAttention : public Attention {
 public:
  explicit LshAttention(AttentionConfig config);
  const char* name() const override { return "lsh"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  // The same, composed of primitives: gathers T L keys and values.
  Tensor reference(const Tensor& q, const Tensor& k, const Tensor& v,
                   const AttentionCall& call) const;
  Traits traits() const override;
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  Tensor step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  std::vector<int64_t> reach(const Tensor& q, const Tensor& k, const AttentionCall& call,
                             int64_t i) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

  int64_t buckets() const { return buckets_; }
  // i32 [B, H, rounds, N]: the bucket of each row of x [B, H, N, D].
  Tensor hash(const Tensor& x) const;
  // i32 [B, H, T, L], -1 for none: the union of the candidates. Query i of row b stands at key
  // i + offset[b] (undefined: at key i); `mask` says which keys and queries are valid.
  Tensor candidates(const Tensor& q, const Tensor& k, const Mask& mask,
                    const Lengths& offset) const;
  // The dense form with shared q and k: every key is visible, nothing is hashed.
  Tensor dense_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionCall& call) const;

 private:
  // The operands and options of the op that forward calls.
  struct Prepared {
    Tensor keys, list;
    SelectedAttentionOptions options;
  };
  Prepared prepared(const Tensor& q, const Tensor& k, const AttentionCall& call) const;
  int64_t list_length(int64_t keys) const;

  int64_t rounds_, buckets_, chunk_;
  Tensor rotations_;
};

}  // namespace heed::nn
