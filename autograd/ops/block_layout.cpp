#include <heed/autograd/ops/block_layout.h>

#include <algorithm>

#include <heed/backends/attention.h>
#include <heed/core/error.h>
#include <heed/core/plan.h>

namespace heed {

BlockLayout::BlockLayout(int64_t queries, int64_t keys, int64_t size)
    : queries_(queries), keys_(keys), size_(size) {
  if (queries < 0 || keys < 0 || size < 1)
    throw ValueError(str("BlockLayout: queries and keys >= 0 and a block size >= 1 expected, got ",
                         queries, ", ", keys, " and ", size));
  row_begin_.push_back(0);
}

void BlockLayout::add_block(int64_t row, int64_t column, Cover cover, const KeepFunction& keep) {
  if (cover == Cover::empty) return;
  int64_t i0 = row * size_, i1 = std::min(i0 + size_, queries_);
  int64_t j0 = column * size_, j1 = std::min(j0 + size_, keys_);
  if (cover == Cover::full) {
    column_.push_back(column);
    bits_begin_.push_back(-1);
    pairs_ += (i1 - i0) * (j1 - j0);
    return;
  }
  const size_t at = bits_.size();
  bits_.resize(at + static_cast<size_t>((j1 - j0) * words()), 0);
  int64_t kept = 0;
  for (int64_t j = j0; j < j1; ++j)
    for (int64_t i = i0; i < i1; ++i)
      if (keep(i, j)) {
        int64_t& word = bits_[at + static_cast<size_t>((j - j0) * words() + (i - i0) / 64)];
        word = static_cast<int64_t>(static_cast<uint64_t>(word) | uint64_t{1} << (i - i0) % 64);
        ++kept;
      }
  pairs_ += kept;
  bool all = kept == (i1 - i0) * (j1 - j0);
  if (kept == 0 || all) bits_.resize(at);
  if (kept == 0) return;
  column_.push_back(column);
  bits_begin_.push_back(all ? -1 : static_cast<int64_t>(at));
}

std::shared_ptr<const BlockLayout> BlockLayout::make(int64_t queries, int64_t keys, int64_t size,
                                                     const CoverFunction& cover,
                                                     const KeepFunction& keep) {
  std::shared_ptr<BlockLayout> layout(new BlockLayout(queries, keys, size));
  for (int64_t r = 0; r * size < queries; ++r) {
    Span i{r * size, std::min((r + 1) * size, queries)};
    for (int64_t c = 0; c * size < keys; ++c)
      layout->add_block(r, c, cover(i, {c * size, std::min((c + 1) * size, keys)}), keep);
    layout->row_begin_.push_back(layout->block_count());
  }
  layout->finish();
  return layout;
}

std::shared_ptr<const BlockLayout> BlockLayout::make(
    int64_t queries, int64_t keys, int64_t size, const std::vector<std::vector<int64_t>>& columns) {
  std::shared_ptr<BlockLayout> layout(new BlockLayout(queries, keys, size));
  int64_t rows = (queries + size - 1) / size, count = static_cast<int64_t>(columns.size());
  if (count != rows)
    throw ValueError(str("BlockLayout: ", rows, " block rows expected, got ", count));
  for (int64_t r = 0; r < rows; ++r) {
    std::vector<int64_t> row = columns[static_cast<size_t>(r)];
    std::sort(row.begin(), row.end());
    row.erase(std::unique(row.begin(), row.end()), row.end());
    for (int64_t c : row) {
      if (c < 0 || c >= layout->columns())
        throw ValueError(str("BlockLayout: key block ", c, " of block row ", r, " is outside [0, ",
                             layout->columns(), ")"));
      layout->add_block(r, c, Cover::full, nullptr);
    }
    layout->row_begin_.push_back(layout->block_count());
  }
  layout->finish();
  return layout;
}

// Adjacent full blocks become one run; partial ones shrink to the keys that some query sees.
void BlockLayout::finish() {
  std::vector<int64_t> rows{0}, runs;
  for (size_t r = 0; r + 1 < row_begin_.size(); ++r) {
    size_t first = runs.size();
    for (int64_t n = row_begin_[r]; n < row_begin_[r + 1]; ++n) {
      const size_t at = static_cast<size_t>(n);
      int64_t begin = column_[at] * size_, end = std::min(begin + size_, keys_);
      int64_t bits = bits_begin_[at];
      auto unseen = [&](int64_t j) {
        const int64_t* word = bits_.data() + bits_begin_[at] + (j - column_[at] * size_) * words();
        return std::all_of(word, word + words(), [](int64_t w) { return w == 0; });
      };
      if (bits >= 0) {
        while (unseen(end - 1)) --end;
        while (unseen(begin)) ++begin, bits += words();
      }
      bool joins =
          bits < 0 && runs.size() > first && runs.back() < 0 && runs[runs.size() - 2] == begin;
      if (joins) runs[runs.size() - 2] = end;
      else runs.insert(runs.end(), {begin, end, bits});
    }
    rows.push_back(static_cast<int64_t>(runs.size()) / 3);
  }
  AttentionBlocks blocks;
  blocks.size = size_;
  blocks.rows = Array::from(rows, {static_cast<int64_t>(rows.size())});
  blocks.runs = Array::from(runs, {static_cast<int64_t>(runs.size()) / 3, 3});
  blocks.bits = Array::from(bits_, {static_cast<int64_t>(bits_.size())});
  blocks_.emplace_back(kCpu, std::make_shared<AttentionBlocks>(std::move(blocks)));
}

AttentionBlocks BlockLayout::blocks(Device device) const {
  std::lock_guard lock(mutex_);
  for (const auto& [place, blocks] : blocks_)
    if (place == device) return *blocks;
  AttentionBlocks there = *blocks_.front().second;  // the host's, made with the layout
  for (Array* array : {&there.rows, &there.runs, &there.bits}) *array = plan_on(*array, device);
  blocks_.emplace_back(device, std::make_shared<AttentionBlocks>(there));
  return there;
}

double BlockLayout::density() const {
  double all = static_cast<double>(queries_) * static_cast<double>(keys_);
  return all > 0 ? static_cast<double>(pairs_) / all : 0;
}

bool BlockLayout::bit(int64_t block, int64_t query_in, int64_t key_in) const {
  int64_t begin = bits_begin_[static_cast<size_t>(block)];
  if (begin < 0) return true;
  int64_t word = bits_[static_cast<size_t>(begin + key_in * words() + query_in / 64)];
  return static_cast<uint64_t>(word) >> query_in % 64 & 1;
}

bool BlockLayout::keeps(int64_t query, int64_t key) const {
  if (query < 0 || query >= queries_ || key < 0 || key >= keys_)
    throw ValueError(
        str("BlockLayout: pair (", query, ", ", key, ") of a map [", queries_, ", ", keys_, "]"));
  const size_t row = static_cast<size_t>(query / size_);
  auto begin = column_.begin() + row_begin_[row], end = column_.begin() + row_begin_[row + 1];
  auto found = std::lower_bound(begin, end, key / size_);
  if (found == end || *found != key / size_) return false;
  return bit(found - column_.begin(), query % size_, key % size_);
}

Tensor BlockLayout::block_mask() const {
  Array mask = Array::zeros({block_count(), size_, size_}, DType::boolean, kCpu);
  bool* out = mask.data<bool>();
  for (int64_t r = 0; r < rows(); ++r)
    for (int64_t n = row_begin_[static_cast<size_t>(r)]; n < row_begin_[static_cast<size_t>(r) + 1];
         ++n) {
      int64_t count = std::min(size_, keys_ - column_[static_cast<size_t>(n)] * size_);
      for (int64_t i = 0; i < std::min(size_, queries_ - r * size_); ++i)
        for (int64_t j = 0; j < count; ++j) out[(n * size_ + i) * size_ + j] = bit(n, i, j);
    }
  return Tensor(mask);
}

Tensor BlockLayout::dense() const {
  Array map = Array::zeros({queries_, keys_}, DType::boolean, kCpu);
  bool* out = map.data<bool>();
  for (int64_t r = 0; r < rows(); ++r)
    for (int64_t n = row_begin_[static_cast<size_t>(r)]; n < row_begin_[static_cast<size_t>(r) + 1];
         ++n) {
      int64_t j0 = column_[static_cast<size_t>(n)] * size_, j1 = std::min(j0 + size_, keys_);
      for (int64_t i = r * size_; i < std::min((r + 1) * size_, queries_); ++i)
        for (int64_t j = j0; j < j1; ++j) out[i * keys_ + j] = bit(n, i - r * size_, j - j0);
    }
  return Tensor(map);
}

std::shared_ptr<const BlockLayout> LayoutCache::get(int64_t queries, int64_t keys,
                                                    const Make& make) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (!last_ || last_->queries() != queries || last_->keys() != keys) last_ = make(queries, keys);
  return last_;
}

}  // namespace heed
