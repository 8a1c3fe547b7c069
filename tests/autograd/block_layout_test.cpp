#include <heed/autograd/ops/block_layout.h>
#include <heed/tests/support/catch.h>

using namespace heed;

namespace {

// The map that a kernel sees, read back from the runs.
std::vector<bool> pairs_of(const BlockLayout& layout) {
  AttentionBlocks blocks = layout.blocks(kCpu);
  const int64_t *rows = blocks.rows.data<int64_t>(), *runs = blocks.runs.data<int64_t>(),
                *bits = blocks.bits.data<int64_t>();
  const int64_t words = (layout.size() + 63) / 64, stored = blocks.bits.numel();
  std::vector<bool> seen(static_cast<size_t>(layout.queries() * layout.keys()));
  for (int64_t i = 0; i < layout.queries(); ++i)
    for (int64_t r = rows[i / layout.size()]; r < rows[i / layout.size() + 1]; ++r) {
      const int64_t *run = runs + 3 * r, in = i % layout.size();
      for (int64_t j = run[0]; j < run[1]; ++j) {
        int64_t word = run[2] + (j - run[0]) * words + in / 64;
        bool whole = run[2] < 0;
        if (!whole && (word < 0 || word >= stored)) FAIL("word " << word << " of " << stored);
        if (whole || (static_cast<uint64_t>(bits[word]) >> in % 64 & 1))
          seen[static_cast<size_t>(i * layout.keys() + j)] = true;
      }
    }
  return seen;
}

}  // namespace

TEST_CASE("block layout: the runs that kernels read hold exactly the pairs that are kept",
          "[block_layout]") {
  const int64_t queries = 150, keys = 137;
  for (int64_t size : {1, 4, 7, 64, 70})
    for (int64_t modulus : {1, 2, 3, 5, 11, 41}) {
      INFO("size " << size << ", one pair of about " << modulus);
      auto keep = [&](int64_t i, int64_t j) { return (i * 7 + j * j + j / 3) % modulus == 0; };
      auto layout = BlockLayout::make(
          queries, keys, size, [](auto, auto) { return Cover::partial; }, keep);
      std::vector<bool> seen = pairs_of(*layout);
      int64_t pairs = 0, wrong = 0;
      for (int64_t i = 0; i < queries; ++i)
        for (int64_t j = 0; j < keys; ++j) {
          pairs += keep(i, j);
          wrong += keep(i, j) != seen[static_cast<size_t>(i * keys + j)];
        }
      CHECK(wrong == 0);
      CHECK(pairs == layout->pairs());
    }
}
