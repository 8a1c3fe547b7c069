// Block-sparse attention: softmax over the pairs of a block layout (Child et al. 2019, arXiv
// 1904.10509; Gray et al. 2017). The sequence is cut into blocks of `block` tokens. A pattern says
// which block of queries sees which block of keys: a spec string, a list, or a pair of functions:
//
//   make_attention("block_sparse:block=64,pattern=local,window=1", config)
//   BlockSparseAttention a(config, 64, {{0}, {0, 1}, {1, 2}});        // block row r sees these
//   BlockSparseAttention b(config, 64, cover, keep);                  // see pattern.h
//
// Patterns: local (blocks at distance <= window), strided (local, and blocks at a distance that
// `stride` divides), fixed (local, and the last block of each group of `stride`), full. A causal
// layer hides the future within blocks too. Time is proportional to the pairs kept, memory O(T);
// layouts are made on the host once per length. Options: block (64), pattern (local), window (1),
// stride (8).
#pragma once

#include <heed/nn/attention/pattern.h>

namespace heed::nn {

inline constexpr int64_t kMostBlock = int64_t{1} << 30;  // the largest size an option takes

// Patterns in whole blocks.
class BlockPatternAttention : public PatternAttention {
 public:
  // Whether the queries of block row r see block c.
  virtual bool sees(int64_t r, int64_t c) const = 0;
  bool keep(int64_t i, int64_t j) const override { return sees(i / block(), j / block()); }
  Cover cover(Span queries, Span keys) const override;

 protected:
  BlockPatternAttention(AttentionConfig config, int64_t block);
  BlockPatternAttention(AttentionConfig config, int64_t block, int64_t tile)
      : PatternAttention(std::move(config), block, tile) {}
};

class BlockSparseAttention : public BlockPatternAttention {
 public:
  using CoverFunction = BlockLayout::CoverFunction;
  using KeepFunction = BlockLayout::KeepFunction;
  explicit BlockSparseAttention(AttentionConfig config);
  // columns[r] lists the blocks that block row r sees. Longer sequences are a ValueError.
  BlockSparseAttention(AttentionConfig config, int64_t block,
                       std::vector<std::vector<int64_t>> columns);
  // Functions of positions alone. `cover` is called once per block, `keep` in partial blocks.
  BlockSparseAttention(AttentionConfig config, int64_t block, CoverFunction cover,
                       KeepFunction keep);
  const char* name() const override { return "block_sparse"; }
  // What forward computes, through sampled_product, block_softmax and block_sparse_product: memory
  // grows with the blocks kept. Without masks and dropout.
  Tensor by_products(const Tensor& q, const Tensor& k, const Tensor& v,
                     const AttentionCall& call) const;
  bool sees(int64_t r, int64_t c) const override;
  bool keep(int64_t i, int64_t j) const override;
  Cover cover(Span queries, Span keys) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;

 private:
  enum class Pattern { local, strided, fixed, full };
  Pattern pattern_ = Pattern::full;
  int64_t window_ = 0, stride_ = 1;
  bool listed_ = false;
  std::vector<std::vector<int64_t>> columns_;
  CoverFunction cover_;
  KeepFunction keep_;
};

// Sparse Transformer's strided pattern (Child et al. 2019), in blocks: block row r sees block c iff
// |r - c| < local or stride divides r - c. block = 1, local = stride is the paper's.
// Options: block (64), stride (8), local (2).
class StridedAttention : public BlockPatternAttention {
 public:
  explicit StridedAttention(AttentionConfig config);
  const char* name() const override { return "strided"; }
  bool sees(int64_t r, int64_t c) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;

 private:
  int64_t stride_, local_;
};

}  // namespace heed::nn
