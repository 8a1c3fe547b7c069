#include <heed/nn/attention/bigbird.h>
#include <heed/nn/attention/block_sparse.h>
#include <heed/nn/position_bias.h>
#include <heed/tests/nn/attention/sparse_checks.h>

using namespace heed;
using namespace heed::test;
using nn::make_attention;

namespace {

std::unique_ptr<Attention> made(const std::string& spec, bool causal = false) {
  return make_attention(spec, variant_config(2, 1, 3, 5, causal));
}

std::vector<Tensor> by_pairs(const Attention& a, const AttentionCall& call, const Operands& x) {
  nn::DenseAttention dense(variant_config(2, 1, 3, 5, a.config().causal));
  const auto& pattern = dynamic_cast<const nn::PatternAttention&>(a);
  AttentionCall with = call;
  with.mask =
      call.mask & Mask::pairs(nn::pattern_pairs(pattern, {0}, x.q.dim(2), x.k.dim(2), kCpu));
  return with_gradients([&](const Tensor& q, const Tensor& k,
                            const Tensor& v) { return dense.reference(q, k, v, with); },
                        x);
}

std::vector<Tensor> by_variant(const Attention& a, const AttentionCall& call, const Operands& x) {
  return with_gradients(
      [&](const Tensor& q, const Tensor& k, const Tensor& v) { return a.forward(q, k, v, call); },
      x);
}

const std::vector<std::string> kSpecs{"block_sparse:block=4",
                                      "block_sparse:block=1,window=2",
                                      "block_sparse:block=3,pattern=strided,window=0,stride=3",
                                      "block_sparse:block=4,pattern=fixed,stride=2,window=0",
                                      "block_sparse:block=80,window=0",
                                      "bigbird:block=4,random=1,globals=1",
                                      "bigbird:block=2,window=1,globals=0,random=2,seed=7",
                                      "strided:block=1,stride=4,local=4",
                                      "strided:block=5"};

}  // namespace

TEST_CASE("block patterns: equal dense attention under the pattern, gradients too",
          "[block_sparse]") {
  for (const std::string& spec : kSpecs)
    for (bool causal : {false, true})
      for (int64_t t : {1, 3, 17, 90}) {
        INFO(spec << (causal ? " causal, " : ", ") << t << " tokens");
        auto a = made(spec, causal);
        Operands x = operands_for(*a, 2, t);
        require_same(by_variant(*a, {}, x), by_pairs(*a, {}, x), 1e-12);
        AttentionCall call = masked(Mask::padding({t, t / 2}) & Mask::alibi(nn::alibi_slopes(2)));
        call.dropout = 0.3f;
        call.random = {5, 8};
        require_same(by_variant(*a, call, x), by_pairs(*a, call, x), 1e-12);
      }
}

TEST_CASE("block patterns: padding, edges, weights, causality, decoding", "[block_sparse]") {
  for (const std::string& spec : kSpecs)
    for (bool causal : {false, true}) {
      INFO(spec << causal);
      auto a = made(spec, causal);
      check_padding(*a, {}, {0, 0}, {7, 12}, 12);
      check_edges(*a, {});
      check_weights(*a, {}, 11);
      check_weights(*a, masked(Mask::padding({11, 6}) & Mask::window(4, 1)), 11);
      if (!causal) continue;
      check_causality(*a, {}, 20);
      check_decoding(*a, {}, 13, {1, 4, 8});
      check_unequal_prompts(*a, {}, 12, 4);
    }
}

TEST_CASE("block patterns: the exact limit is dense, cover and keep agree", "[block_sparse]") {
  nn::DenseAttention dense(variant_config(2, 1, 3, 5));
  for (const char* name : {"block_sparse", "bigbird", "strided"}) {
    auto limit = made(name)->exact_limit({.queries = 70, .keys = 70});
    auto a = made(str(name, ":", limit->options.to_string(), ",block=8"));
    Operands x = operands_for(*a, 1, 70);
    REQUIRE(difference(a->forward(x.q, x.k, x.v, {}), limit->reference(x.q, x.k, x.v, {})) < 1e-12);
    REQUIRE(difference(limit->reference(x.q, x.k, x.v, {}), dense.forward(x.q, x.k, x.v, {})) <
            1e-12);
  }
  for (const std::string& spec : kSpecs) {
    auto a = made(spec, true);
    const auto& pattern = dynamic_cast<const nn::PatternAttention&>(*a);
    for (int64_t first : {0, 7}) {
      auto layout = pattern.layout(20, 30, first);
      int64_t pairs = 0;
      for (int64_t i = 0; i < 20; ++i)
        for (int64_t j = 0; j < 30; ++j) {
          bool want = j <= i + first && pattern.keep(i + first, j);
          INFO(spec << ": " << i + first << ", " << j);
          REQUIRE(layout->keeps(i, j) == want);
          pairs += want;
        }
      REQUIRE(layout->pairs() == pairs);
    }
  }
}

TEST_CASE("block patterns: the layout of small blocks is one of large ones", "[block_sparse]") {
  auto size = [](const std::string& spec) {
    auto a = made(spec);
    return dynamic_cast<const nn::PatternAttention&>(*a).layout(100, 100)->size();
  };
  REQUIRE(size("strided:block=1,stride=4,local=4") == 64);
  REQUIRE(size("block_sparse:block=3") == 63);
  REQUIRE(size("bigbird:block=4") == 64);
  REQUIRE(size("block_sparse:block=5") == 5);
  REQUIRE(size("block_sparse:block=80") == 80);
  // A pattern's own functions are asked about blocks of the size that was given.
  nn::BlockSparseAttention own(
      variant_config(2, 1, 3, 5), 4,
      [](auto i, auto j) {
        REQUIRE((i.end - i.begin <= 4 && j.end - j.begin <= 4));
        return i.begin == j.begin ? Cover::full : Cover::empty;
      },
      [](int64_t, int64_t) { return true; });
  REQUIRE(own.layout(10, 10)->pairs() == 4 * 4 + 4 * 4 + 2 * 2);
}

TEST_CASE("block_sparse: lists and functions", "[block_sparse]") {
  auto config = variant_config(2, 1, 3, 5, true);
  nn::BlockSparseAttention listed(config, 4, {{0}, {1, 0}, {2, 0}});
  Operands x = operands_for(listed, 2, 11);
  require_same(by_variant(listed, {}, x), by_pairs(listed, {}, x), 1e-12);
  REQUIRE_THROWS_SAYING(listed.forward(operands_for(listed, 1, 13).q, operands_for(listed, 1, 13).k,
                                       operands_for(listed, 1, 13).v, {}),
                        ValueError, "3 blocks of 4 tokens, a longer sequence");
  // Block-lower-triangular with the layer's own causal term is causal dense attention.
  nn::BlockSparseAttention lower(config, 4, {{0}, {0, 1}, {0, 1, 2}});
  nn::DenseAttention dense(config);
  REQUIRE(difference(lower.forward(x.q, x.k, x.v, {}), dense.forward(x.q, x.k, x.v, {})) < 1e-12);
  // Rows that see nothing give 0.
  nn::BlockSparseAttention gaps(variant_config(2, 1, 3, 5), 4, {{0}, {}, {1}});
  std::vector<Tensor> got = by_variant(gaps, {}, x);
  REQUIRE(all_zero(got[3].slice(2, 4, 8)));
  REQUIRE(all_zero(got[0].slice(2, 4, 8)));
  require_same(got, by_pairs(gaps, {}, x), 1e-12);

  nn::BlockSparseAttention even(
      config, 64, [](auto, auto) { return Cover::partial; },
      [](int64_t i, int64_t j) { return (i + j) % 2 == 0; });
  Operands y = operands_for(even, 2, 100);
  require_same(by_variant(even, {}, y), by_pairs(even, {}, y), 1e-12);
}

TEST_CASE("block_sparse: the fused op equals the composed sparse products", "[block_sparse]") {
  for (const std::string& spec : kSpecs) {
    if (spec.find("block_sparse") != 0) continue;
    for (bool causal : {false, true}) {
      INFO(spec << causal);
      auto a = made(spec, causal);
      const auto& sparse = dynamic_cast<const nn::BlockSparseAttention&>(*a);
      Operands x = operands_for(*a, 2, 33);
      auto composed =
          with_gradients([&](const Tensor& q, const Tensor& k,
                             const Tensor& v) { return sparse.by_products(q, k, v, {}); },
                         x);
      require_same(by_variant(*a, {}, x), composed, 1e-12);
    }
  }
  REQUIRE_THROWS_SAYING(dynamic_cast<nn::BlockSparseAttention&>(*made("block_sparse"))
                            .by_products(numbers({1, 2, 4, 3}, 1), numbers({1, 1, 4, 3}, 1),
                                         numbers({1, 1, 4, 5}, 1), masked(Mask::key_padding({3}))),
                        ValueError, "no mask");
}

TEST_CASE("bigbird: blocks are drawn by seed and row alone", "[block_sparse]") {
  auto config = variant_config(1, 1, 2, 2);
  config.options = nn::parse_spec("bigbird:random=3,globals=2,window=3,seed=5").options;
  nn::BigBirdAttention a(config), again(config);
  config.options = nn::parse_spec("bigbird:random=3,globals=2,window=3,seed=6").options;
  nn::BigBirdAttention other(config);
  bool differs = false;
  for (int64_t r = 0; r < 60; ++r) {
    std::vector<int64_t> drawn = a.drawn(r);
    REQUIRE(drawn == again.drawn(r));
    differs = differs || drawn != other.drawn(r);
    REQUIRE(static_cast<int64_t>(drawn.size()) == std::clamp<int64_t>(r - 3, 0, 3));
    for (int64_t c : drawn) REQUIRE((c >= 2 && c < r - 1));
    for (int64_t c = 0; c < 60; ++c) REQUIRE(a.sees(r, c) == a.sees(c, r));
  }
  REQUIRE(differs);
}

TEST_CASE("block layouts: runs, bits, density", "[block_sparse]") {
  auto band = BlockLayout::make(
      300, 300, 100, [](auto, auto) { return Cover::partial; },
      [](int64_t i, int64_t j) { return std::abs(i - j) <= 5 || j == 250; });
  REQUIRE(band->pairs() == 300 * 11 - 30 + 300 - 11);
  REQUIRE(band->block_count() == 8);  // all but the lower left
  for (int64_t i = 0; i < 300; i += 7)
    for (int64_t j = 0; j < 300; j += 3)
      REQUIRE(band->keeps(i, j) == (std::abs(i - j) <= 5 || j == 250));
  REQUIRE_THROWS_SAYING(BlockLayout::make(10, 10, 0, {{0}}), ValueError, "a block size >= 1");
  REQUIRE_THROWS_SAYING(BlockLayout::make(10, 10, 5, {{0}}), ValueError,
                        "2 block rows expected, got 1");
  REQUIRE_THROWS_SAYING(BlockLayout::make(10, 10, 5, {{0}, {2}}), ValueError, "key block 2");
  REQUIRE_THROWS_SAYING(band->keeps(300, 0), ValueError, "pair (300, 0)");
}

TEST_CASE("block patterns: bad options", "[block_sparse]") {
  REQUIRE_THROWS_SAYING(made("block_sparse:block=0"), ValueError,
                        "block_sparse: option 'block' is '0'; allowed: an integer from 1");
  REQUIRE_THROWS_SAYING(made("block_sparse:pattern=holes"), ValueError,
                        "'holes'; allowed: local, strided, fixed, full");
  REQUIRE_THROWS_SAYING(made("strided:stride=0"), ValueError, "'stride' is '0'");
  REQUIRE_THROWS_SAYING(made("bigbird:window=2"), ValueError, "an odd number of blocks");
  REQUIRE_THROWS_SAYING(made("bigbird:blocks=2"), ValueError, "unknown option 'blocks=2'");
  REQUIRE_THROWS_SAYING(nn::BlockSparseAttention(variant_config(1, 1, 1, 1), 0, {{0}}), ValueError,
                        "a block of 0 tokens");
  auto a = made("bigbird");
  Operands x = operands_for(*a, 2, 6);
  REQUIRE_THROWS_SAYING(
      a->forward(x.q, x.k, x.v, masked(Mask::padding({1, 0}, {6, 6}))), ValueError,
      "bigbird: left padding (row 0 begins at token 1, where 0 is expected) is not supported");
}
