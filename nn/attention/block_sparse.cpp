#include <heed/nn/attention/block_sparse.h>

#include <algorithm>
#include <cstdlib>

#include <heed/autograd/ops/block_sparse.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/score_map.h>

namespace heed::nn {

namespace {

int64_t checked_block(int64_t block) {
  if (block < 1 || block > kMostBlock)
    throw ValueError(str("block_sparse: a block of ", block, " tokens; at least 1 expected"));
  return block;
}

// Blocks of only a few tokens are stored as bits of larger tiles. As blocks, each would be a run of
// keys, which takes more memory than the tokens, and a whole vector for a few pairs. With one token
// per block and every eighth block kept, tiles are 15 times as fast; from about eight tokens per
// block on they are slower.
int64_t tile_of(int64_t block) {
  constexpr int64_t most = 4, tile = 64;
  return block <= most ? tile / block * block : block;
}

}  // namespace

BlockPatternAttention::BlockPatternAttention(AttentionConfig config, int64_t block)
    : PatternAttention(std::move(config), block, tile_of(block)) {}

// Spans need not lie on the grid: while decoding, queries start at any position.
Cover BlockPatternAttention::cover(Span i, Span j) const {
  int64_t seen = 0, all = 0;
  for (int64_t r = i.begin / block(); r * block() < i.end; ++r)
    for (int64_t c = j.begin / block(); c * block() < j.end; ++c) {
      ++all;
      seen += sees(r, c);
    }
  return seen == 0 ? Cover::empty : seen == all ? Cover::full : Cover::partial;
}

BlockSparseAttention::BlockSparseAttention(AttentionConfig config)
    : BlockPatternAttention(config, config.options.integer("block", 64, 1, kMostBlock)) {
  const Options& o = this->config().options;
  std::string pattern = o.choice("pattern", "local", {"local", "strided", "fixed", "full"});
  pattern_ = pattern == "local"     ? Pattern::local
             : pattern == "strided" ? Pattern::strided
             : pattern == "fixed"   ? Pattern::fixed
                                    : Pattern::full;
  window_ = o.integer("window", 1, 0, kMostBlock);
  stride_ = o.integer("stride", 8, 1, kMostBlock);
}

BlockSparseAttention::BlockSparseAttention(AttentionConfig config, int64_t block,
                                           std::vector<std::vector<int64_t>> columns)
    : BlockPatternAttention(std::move(config), checked_block(block)),
      listed_(true),
      columns_(std::move(columns)) {
  int64_t count = static_cast<int64_t>(columns_.size());
  for (size_t r = 0; r < columns_.size(); ++r) {
    std::sort(columns_[r].begin(), columns_[r].end());
    for (int64_t c : columns_[r])
      if (c < 0 || c >= count)
        throw ValueError(
            str("block_sparse: block row ", r, " lists block ", c, ", there are ", count));
  }
}

BlockSparseAttention::BlockSparseAttention(AttentionConfig config, int64_t block,
                                           CoverFunction cover, KeepFunction keep)
    : BlockPatternAttention(std::move(config), checked_block(block), block),
      cover_(std::move(cover)),
      keep_(std::move(keep)) {
  if (!cover_ || !keep_) throw ValueError("block_sparse: both cover and keep are needed");
}

bool BlockSparseAttention::sees(int64_t r, int64_t c) const {
  if (listed_) {
    if (r >= static_cast<int64_t>(columns_.size()))
      throw ValueError(str("block_sparse: the layout has ", columns_.size(), " blocks of ", block(),
                           " tokens, a longer sequence was given"));
    const std::vector<int64_t>& row = columns_[static_cast<size_t>(r)];
    return std::binary_search(row.begin(), row.end(), c);
  }
  bool near = std::abs(r - c) <= window_;
  switch (pattern_) {
    case Pattern::local: return near;
    case Pattern::strided: return near || (r - c) % stride_ == 0;
    case Pattern::fixed: return near || c % stride_ == stride_ - 1;
    case Pattern::full: return true;
  }
  return false;
}

bool BlockSparseAttention::keep(int64_t i, int64_t j) const {
  return keep_ ? keep_(i, j) : BlockPatternAttention::keep(i, j);
}

Cover BlockSparseAttention::cover(Span queries, Span keys) const {
  return cover_ ? cover_(queries, keys) : BlockPatternAttention::cover(queries, keys);
}

Tensor BlockSparseAttention::by_products(const Tensor& q, const Tensor& k, const Tensor& v,
                                         const AttentionCall& call) const {
  check_call(q, k, v, call);
  if (call.mask.to_string() != "no mask" || call.dropout > 0)
    throw ValueError(
        str("block_sparse: by_products takes no mask and no dropout, got ", call.mask.to_string()));
  auto pairs = layout_of(q.dim(2), k.dim(2), 0, block());
  double scale = fused_options(call).scale;
  Tensor scores = sampled_product(q, repeat_heads(k, q.dim(1)), *pairs) * scale;  // [B, H, N, b, b]
  return block_sparse_product(block_softmax(scores, *pairs), repeat_heads(v, q.dim(1)),
                              *pairs);  // [B, H, T, E]
}

std::optional<ExactLimit> BlockSparseAttention::exact_limit(const AttentionShape&) const {
  Options options("block_sparse");
  options.set("pattern", "full");
  return dense_limit(options);
}

StridedAttention::StridedAttention(AttentionConfig config)
    : BlockPatternAttention(config, config.options.integer("block", 64, 1, kMostBlock)),
      stride_(this->config().options.integer("stride", 8, 1, kMostBlock)),
      local_(this->config().options.integer("local", 2, 1, kMostBlock)) {}

bool StridedAttention::sees(int64_t r, int64_t c) const {
  return std::abs(r - c) < local_ || (r - c) % stride_ == 0;
}

std::optional<ExactLimit> StridedAttention::exact_limit(const AttentionShape&) const {
  Options options("strided");
  options.set("stride", "1");
  return dense_limit(options);
}

}  // namespace heed::nn
