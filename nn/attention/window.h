// Sliding-window attention (Beltagy et al. 2020, Longformer): query i sees key j iff
//
//   -left <= (j - i) / dilation <= right  and  dilation divides j - i,
//   or  i < globals  or  j < globals
//
// and, in a causal layer, j <= i: the first `globals` tokens see everything and are seen by all.
// left and right count the keys on each side (so the dilated window reaches left * dilation back).
// Softmax over these keys; time O(T (left + right + globals) (D + E)), memory O(T).
//
//   auto a = make_attention("window:left=256,right=256", config);
//
// Options: left, right (128 each), dilation (1), globals (0). Decoding keeps the last `left` keys
// and the global ones. See docs/attention/window.md.
#pragma once

#include <heed/nn/attention/pattern.h>
#include <heed/nn/attention/ring_cache.h>

namespace heed::nn {

class WindowAttention : public PatternAttention {
 public:
  explicit WindowAttention(AttentionConfig config);
  const char* name() const override { return "window"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  Tensor reference(const Tensor& q, const Tensor& k, const Tensor& v,
                   const AttentionCall& call) const override;
  Traits traits() const override;
  std::unique_ptr<DecodeState> new_state(int64_t batch, int64_t capacity, DType dtype,
                                         Device device) const override;
  void absorb(const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  Tensor step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;
  bool keep(int64_t i, int64_t j) const override;
  Cover cover(Span queries, Span keys) const override;

 private:
  bool plain() const { return dilation_ == 1 && globals_ == 0; }
  AttentionTerms windowed(AttentionTerms terms) const;
  Tensor dilated(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const;
  Tensor step_part(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
                   int64_t at, RingCache& ring) const;
  Tensor ring_pairs(const RingCache& ring, const Lengths& offset, int64_t queries,
                    int64_t held) const;

  int64_t left_, right_, dilation_, globals_;
};

}  // namespace heed::nn
