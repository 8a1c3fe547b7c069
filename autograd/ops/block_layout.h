// A block-sparse set of (query, key) pairs: a grid of size x size blocks over the T x S map, each
// empty, full, or partial with one bit per pair. Made on the host once per (T, S); what is stored
// grows with the blocks that exist, never with T S.
//
//   auto diagonal = BlockLayout::make(1000, 1000, 64,
//       [](auto i, auto j) { return cover_of(i, j); },            // asked once per block
//       [](int64_t i, int64_t j) { return std::abs(i - j) < 100; });   // asked in partial blocks
//   AttentionTerms terms;
//   terms.layout = diagonal;      // fused_attention then computes these blocks alone
//
// T and S need not be multiples of the size: border blocks are cut. Errors (ValueError): a size
// below 1, a negative T or S, an index outside the grid.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include <heed/autograd/tensor.h>

namespace heed {

struct AttentionBlocks;  // what kernels read of a layout (backends/attention.h)

enum class Cover { empty, partial, full };

class BlockLayout {
 public:
  struct Span {  // [begin, end)
    int64_t begin, end;
  };
  // Whether no, some or all pairs of the block are kept; "partial" is always a right answer.
  using CoverFunction = std::function<Cover(Span queries, Span keys)>;
  using KeepFunction = std::function<bool(int64_t query, int64_t key)>;

  static std::shared_ptr<const BlockLayout> make(int64_t queries, int64_t keys, int64_t size,
                                                 const CoverFunction& cover,
                                                 const KeepFunction& keep);
  // Whole blocks: columns[r] lists the key blocks that the queries of block row r see.
  static std::shared_ptr<const BlockLayout> make(int64_t queries, int64_t keys, int64_t size,
                                                 const std::vector<std::vector<int64_t>>& columns);

  int64_t queries() const { return queries_; }
  int64_t keys() const { return keys_; }
  int64_t size() const { return size_; }
  int64_t rows() const { return static_cast<int64_t>(row_begin_.size()) - 1; }
  int64_t columns() const { return (keys_ + size_ - 1) / size_; }
  // Block n of block row r: row_begin()[r] <= n < row_begin()[r + 1], in rising order of columns.
  const std::vector<int64_t>& row_begin() const { return row_begin_; }
  const std::vector<int64_t>& column() const { return column_; }
  int64_t block_count() const { return static_cast<int64_t>(column_.size()); }
  bool is_full(int64_t block) const { return bits_begin_[static_cast<size_t>(block)] < 0; }
  int64_t pairs() const { return pairs_; }  // (query, key) pairs that are kept
  double density() const;                   // of all T S pairs
  bool keeps(int64_t query, int64_t key) const;

  Tensor block_mask() const;  // bool [block_count, size, size]; false beyond T and S
  Tensor dense() const;       // bool [T, S], for references and drawings
  // The layout as kernels read it, on a device; copied there by the first call for that device.
  AttentionBlocks blocks(Device device) const;

 private:
  BlockLayout(int64_t queries, int64_t keys, int64_t size);
  void add_block(int64_t row, int64_t column, Cover cover, const KeepFunction& keep);
  void finish();
  int64_t words() const { return (size_ + 63) / 64; }
  bool bit(int64_t block, int64_t query_in, int64_t key_in) const;

  int64_t queries_, keys_, size_, pairs_ = 0;
  std::vector<int64_t> row_begin_, column_, bits_begin_;  // bits_begin_: first word, or -1: full
  std::vector<int64_t> bits_;  // of a partial block: words() words for each of its keys
  mutable std::mutex mutex_;   // of blocks_
  mutable std::vector<std::pair<Device, std::shared_ptr<const AttentionBlocks>>> blocks_;
};

// Caches the layout of the last (T, S) asked for. Copies share nothing; safe to use from threads.
class LayoutCache {
 public:
  using Make = std::function<std::shared_ptr<const BlockLayout>(int64_t queries, int64_t keys)>;
  std::shared_ptr<const BlockLayout> get(int64_t queries, int64_t keys, const Make& make);

 private:
  std::mutex mutex_;
  std::shared_ptr<const BlockLayout> last_;
};

}  // namespace heed
