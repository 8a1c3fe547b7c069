// LSH attention (Reformer: Kitaev et al. 2020, arXiv 2001.04451): queries and keys are the same
// vectors, and a token attends to those whose directions fall into its own hash bucket.
//
//   k_j = q_j / |q_j|,   bucket_r(x) = argmax [x R_r; -x R_r],  R_r [D, buckets / 2] random, fixed
//   o_i = softmax over the union of the rounds' candidates of (scale q_i . k_j) v_j
//
// Candidates of round r, causal: the last `chunk` tokens of the own bucket up to i itself, by
// position. Otherwise the tokens are sorted by (bucket, position) and cut into chunks; candidates
// are those of the own bucket in the own and the previous chunk, without wrap-around. A token's own
// score is the constant -5e4: it attends to itself only where it has no other candidate.
//
// The union is the rounds merged by their log-sum-exps, a pair found c times weighted by -log c:
// both give each pair its weight once. Time O(r T chunk (D + E) + r T buckets D), memory O(r T
// chunk).
//
//   auto a = make_attention("lsh:rounds=4,buckets=32,chunk=64", config);
//
// Options: rounds (4), chunk (64), buckets (1 or even; default max_length / chunk rounded up to
// even, 16 where max_length is unknown; never from a call's length), seed (0). The rotations are a
// saved buffer [H, rounds, D, buckets / 2]. See docs/attention/lsh.md.
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
  // i32 [B, H, T, L], -1 for none: the union of the candidates. Query i of row b stands at key i +
  // offset[b] (undefined: at key i); which keys and queries are valid says `mask`.
  Tensor candidates(const Tensor& q, const Tensor& k, const Mask& mask,
                    const Lengths& offset) const;
  // Every key visible, none hashed: the dense form with shared q and k.
  Tensor dense_reference(const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionCall& call) const;

 private:
  // The operands and options of the op under forward.
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
