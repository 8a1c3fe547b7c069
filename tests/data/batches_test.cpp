#include <heed/data/batches.h>

#include <algorithm>
#include <set>

#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/data/vocab.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Ids = std::vector<int64_t>;

namespace {
std::vector<TokenPair> random_pairs(int count, uint64_t seed) {
  Generator g(seed);
  std::vector<TokenPair> pairs;
  for (int i = 0; i < count; ++i) {
    TokenPair p;
    for (uint64_t n = g.integer(20) + 1; n > 0; --n)
      p.source.push_back(4 + static_cast<int64_t>(g.integer(50)));
    for (uint64_t n = g.integer(20) + 1; n > 0; --n)
      p.target.push_back(4 + static_cast<int64_t>(g.integer(50)));
    pairs.push_back(p);
  }
  return pairs;
}

Ids values(const Array& a) { return Ids(a.data<int64_t>(), a.data<int64_t>() + a.numel()); }

std::vector<Ids> plan(const PairBatches& batches, int64_t epoch) {
  std::vector<Ids> rows;
  for (int64_t i = 0; i < batches.count(epoch); ++i) rows.push_back(batches.get(epoch, i).rows);
  return rows;
}
}  // namespace

TEST_CASE("a batch: padding, bos, eos, lengths") {
  PairBatches batches({{{5, 6, 7}, {8}}, {{9}, {10, 11}}}, {.shuffle = false});
  PairBatch b = batches.make(Ids{0, 1});
  CHECK(b.source.shape() == Shape{2, 3});
  CHECK(values(b.source) == Ids{5, 6, 7, 9, kPad, kPad});
  CHECK(b.target_in.shape() == Shape{2, 3});
  CHECK(values(b.target_in) == Ids{kBos, 8, kPad, kBos, 10, 11});
  CHECK(values(b.target_out) == Ids{8, kEos, kPad, 10, 11, kEos});
  CHECK(b.source_lengths == Lengths{3, 1});
  CHECK(b.target_lengths == Lengths{2, 3});
  CHECK(b.target_tokens == 5);
  CHECK(b.rows == Ids{0, 1});
  CHECK(values(batches.make(Ids{1}).source) == Ids{9});
  CHECK_THROWS_AS(batches.make(Ids{2}), ValueError);
  CHECK_THROWS_AS(batches.make(Ids{}), ValueError);
}

TEST_CASE("batches: every pair once an epoch, within the budget, little padding") {
  const int64_t budget = GENERATE(21, 64, 400);
  PairBatches batches(random_pairs(500, 1), {.max_tokens = budget, .seed = 3});
  CHECK(batches.dropped() == 0);
  for (int64_t epoch : {0, 1, 7}) {
    std::vector<int> seen(500);
    int64_t padded = 0, used = 0;
    for (int64_t i = 0; i < batches.count(epoch); ++i) {
      PairBatch b = batches.get(epoch, i);
      int64_t cost = b.source.dim(0) * std::max(b.source.dim(1), b.target_in.dim(1));
      REQUIRE(cost <= budget);
      padded += cost;
      for (int64_t row : b.rows) {
        ++seen[static_cast<size_t>(row)];
        used += static_cast<int64_t>(
            std::max(batches.pair(row).source.size(), batches.pair(row).target.size() + 1));
      }
    }
    CHECK(std::all_of(seen.begin(), seen.end(), [](int n) { return n == 1; }));
    CHECK(static_cast<double>(used) / static_cast<double>(padded) > 0.85);
  }
}

TEST_CASE("batches: a pure function of seed and epoch") {
  auto pairs = random_pairs(300, 2);
  PairBatches a(pairs, {.max_tokens = 100, .seed = 5}), b(pairs, {.max_tokens = 100, .seed = 5}),
      other(pairs, {.max_tokens = 100, .seed = 6});
  auto first = plan(a, 0), second = plan(a, 1);
  CHECK(plan(b, 1) == second);  // without having seen epoch 0
  CHECK(plan(a, 0) == first);   // and back again
  CHECK(first != second);
  CHECK(plan(other, 0) != first);
  // Not only the order of batches changes: others share a batch.
  auto sets = [](std::vector<Ids> p) {
    std::set<std::set<int64_t>> out;
    for (auto& rows : p) out.insert({rows.begin(), rows.end()});
    return out;
  };
  CHECK(sets(first) != sets(second));
  CHECK(plan(a, int64_t{1} << 33) != plan(a, 0));

  PairBatches fixed(pairs, {.max_tokens = 100, .shuffle = false});
  CHECK(plan(fixed, 0) == plan(fixed, 5));
  PairBatch last = fixed.get(0, fixed.count(0) - 1), front = fixed.get(0, 0);
  CHECK(last.source.dim(1) + last.target_in.dim(1) > front.source.dim(1) + front.target_in.dim(1));
}

TEST_CASE("batches: long pairs are dropped and counted, bad ones refused") {
  Ids five(5, 9), six(6, 9);
  // y and its eos: a target of 5 has length 6.
  PairBatches batches({{five, five}, {six, five}, {six, six}, {{7, 7, 7, 7, 7, 7, 7}, {4}}},
                      {.max_length = 6});
  CHECK(batches.size() == 2);
  CHECK(batches.dropped() == 2);
  PairBatches narrow({{five, {4}}, {six, {4}}}, {.max_tokens = 5});
  CHECK(narrow.size() == 1);
  CHECK(narrow.dropped() == 1);
  CHECK_THROWS_AS(PairBatches({}, {}), ValueError);
  CHECK_THROWS_AS(PairBatches({{six, six}}, {.max_length = 5}), ValueError);
  CHECK_THROWS_AS(PairBatches({{six, six}}, {.max_tokens = 0}), ValueError);
  REQUIRE_THROWS_SAYING(PairBatches({{five, five}, {{}, five}}, {}), ValueError,
                        "pair 1 has an empty source");
  REQUIRE_THROWS_SAYING(PairBatches({{five, {}}}, {}), ValueError, "pair 0 has an empty target");
  REQUIRE_THROWS_SAYING(PairBatches({{five, {3, -2}}}, {}), ValueError, "pair 0 has the id -2");
  REQUIRE_THROWS_SAYING(PairBatches({{five, {3, 9}}}, {.target_vocab = 9}), ValueError,
                        "pair 0 has the id 9 outside the vocabulary of 9");
  REQUIRE(PairBatches({{five, {3, 8}}}, {.target_vocab = 9}).size() == 1);
  REQUIRE_THROWS_SAYING(batches.get(0, batches.count(0)), ValueError,
                        "PairBatches: batch 1 of 1 in epoch 0");
  CHECK_THROWS_AS(batches.get(0, -1), ValueError);
  CHECK_THROWS_AS(batches.count(-1), ValueError);
}

TEST_CASE("encode_pairs: both sides through their own tokenizer") {
  std::vector<std::string> source = {"a b", "b"}, target = {"x", "x y y"};
  WordVocab s = WordVocab::build(source), t = WordVocab::build(target);
  auto pairs = encode_pairs(s, t, source, target);
  REQUIRE(pairs.size() == 2);
  CHECK(s.decode(pairs[0].source) == "a b");
  CHECK(t.decode(pairs[1].target) == "x y y");
  target.pop_back();
  CHECK_THROWS_AS(encode_pairs(s, t, source, target), ValueError);
}
