// The common part of variants whose queries see a fixed set of keys: softmax attention over the
// pairs (i, j) that a pattern keeps. Only the blocks of the map that the pattern does not leave
// empty are computed (autograd/ops/block_layout.h), never with a T x T mask.
//
// A pattern is a function of positions in one sequence, so queries and keys are the same tokens. It
// does not depend on the length, so padding on the right and decoding leave it as it is; left
// padding would shift it.
#pragma once

#include <heed/autograd/ops/block_layout.h>
#include <heed/nn/attention/attention.h>

namespace heed::nn {

class PatternAttention : public Attention {
 public:
  using Span = BlockLayout::Span;
  // Whether query i sees key j; causality, padding and the call's mask are applied on top.
  virtual bool keep(int64_t i, int64_t j) const = 0;
  // How much of a block of pairs is kept. "partial" is always right, but costs one bit per pair.
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
  // `block`: the size of the pattern's blocks; `tile`: that of the layout's.
  PatternAttention(AttentionConfig config, int64_t block, int64_t tile);
  std::shared_ptr<const BlockLayout> layout_of(int64_t queries, int64_t keys, int64_t first,
                                               int64_t size) const;
  // The exact limit of a pattern that keeps every pair: dense attention of the same config.
  ExactLimit dense_limit(Options options) const;

 private:
  int64_t block_, tile_;
  mutable LayoutCache cache_;
};

// bool [B or 1, 1, T, S]: what query i of row b, at position i + offset[b], sees of key positions.
Tensor pattern_pairs(const PatternAttention& pattern, const Lengths& offset, int64_t queries,
                     int64_t keys, Device device);

}  // namespace heed::nn
