// What variants share whose queries see a fixed set of keys: softmax attention over the pairs
// (i, j) that a pattern keeps, computed by blocks of the map that the pattern does not leave empty
// (autograd/ops/block_layout.h), never with a T x T mask.
//
// A pattern speaks of positions in one sequence, so queries and keys are the same tokens; it
// depends on no length, so padding on the right and decoding leave it as it is. Left padding would
// move it.
#pragma once

#include <heed/autograd/ops/block_layout.h>
#include <heed/nn/attention/attention.h>

namespace heed::nn {

class PatternAttention : public Attention {
 public:
  using Span = BlockLayout::Span;
  // Whether query i sees key j; being causal, padding and the call's mask come on top.
  virtual bool keep(int64_t i, int64_t j) const = 0;
  // About a whole block of pairs. "partial" is always right, but costs a bit a pair.
  virtual Cover cover(Span queries, Span keys) const = 0;

  // The pairs of `queries` positions from `first` on, against keys [0, keys).
  std::shared_ptr<const BlockLayout> layout(int64_t queries, int64_t keys, int64_t first = 0) const;
  int64_t block() const { return block_; }

  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  // The same, composed of primitives under a dense mask: O(T S) memory.
  virtual Tensor reference(const Tensor& q, const Tensor& k, const Tensor& v,
                           const AttentionCall& call) const;
  Traits traits() const override;
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  Tensor step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  std::vector<int64_t> reach(const Tensor& q, const Tensor& k, const AttentionCall& call,
                             int64_t i) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

 protected:
  // The pattern's blocks, and those of which the layout is made.
  PatternAttention(AttentionConfig config, int64_t block, int64_t tile);
  std::shared_ptr<const BlockLayout> layout_of(int64_t queries, int64_t keys, int64_t first,
                                               int64_t size) const;
  // As dense at the same config; what the layer is where its pattern keeps everything.
  ExactLimit dense_limit(Options options) const;

 private:
  int64_t block_, tile_;
  mutable LayoutCache cache_;
};

// bool [B or 1, 1, T, S]: what query i of row b, at position i + offset[b], sees of key positions.
Tensor pattern_pairs(const PatternAttention& pattern, const Lengths& offset, int64_t queries,
                     int64_t keys, Device device);

}  // namespace heed::nn
