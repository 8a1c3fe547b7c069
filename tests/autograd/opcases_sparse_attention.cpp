// Attention over listed keys, and the products over a block layout, against plain loops.
#include <cmath>
#include <set>

#include <heed/autograd/ops/block_sparse.h>
#include <heed/autograd/ops/lsh.h>
#include <heed/autograd/ops/selected_attention.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

std::vector<OpCase> sparse_attention_cases();

namespace {

constexpr double kScale = 0.6;
constexpr int64_t kListed = 3, kSize = 2;

// A list that differs from row to row, with gaps: -1 for none.
int64_t listed(int64_t h, int64_t i, int64_t n, int64_t keys) {
  int64_t j = (3 * i + 2 * n + h) % (keys + 1) - 1;
  for (int64_t m = 0; m < n; ++m)
    if (listed(h, i, m, keys) == j) return -1;  // each once
  return i % 4 == 3 ? -1 : j;                   // some rows have nothing
}

Tensor lists(const Shape& q, int64_t keys) {
  Array index = Array::empty({q[0], q[1], q[2], kListed}, DType::i32, kCpu);
  int32_t* out = index.data<int32_t>();
  for (int64_t row = 0; row < q[0] * q[1] * q[2]; ++row)
    for (int64_t n = 0; n < kListed; ++n)
      *out++ = static_cast<int32_t>(listed(row / q[2] % q[1], row % q[2], n, keys));
  return Tensor(index);
}

Naive over_lists(bool own) {
  return [=](const std::vector<Values>& in) {
    const Values &q = in[0], &k = in[1], &v = in[2];
    int64_t s = k.shape[2], group = q.shape[1] / k.shape[1];
    Values out(Shape{q.shape[0], q.shape[1], q.shape[2], v.shape[3]});
    for (int64_t b = 0; b < q.shape[0]; ++b)
      for (int64_t h = 0; h < q.shape[1]; ++h)
        for (int64_t i = 0; i < q.shape[2]; ++i) {
          double total = 0;
          for (int64_t n = 0; n < kListed; ++n) {
            int64_t j = listed(h, i, n, s);
            if (j < 0) continue;
            double score = in[3]({b, h, i, j});
            for (int64_t c = 0; c < q.shape[3]; ++c)
              score += kScale * q({b, h, i, c}) * k({b, h / group, j, c});
            if (own && i == j) score = -0.5;
            total += std::exp(score);
            for (int64_t c = 0; c < v.shape[3]; ++c)
              out({b, h, i, c}) += std::exp(score) * v({b, h / group, j, c});
          }
          for (int64_t c = 0; c < v.shape[3]; ++c)
            if (total > 0) out({b, h, i, c}) /= total;
        }
    return out;
  };
}

OpCase selected(bool own) {
  OpCase c;
  c.op = "selected_attention";
  c.label = own ? "own score" : "";
  struct Size {
    int64_t b, h, kv, t, s, d, e;
  };
  for (Size z : {Size{1, 2, 1, 3, 4, 2, 3}, Size{2, 1, 1, 5, 2, 3, 1}, Size{1, 1, 1, 1, 1, 1, 1},
                 Size{2, 4, 2, 17, 33, 8, 24}, Size{1, 2, 2, 70, 65, 31, 17}})
    c.shapes.push_back(
        {{z.b, z.h, z.t, z.d}, {z.b, z.kv, z.s, z.d}, {z.b, z.kv, z.s, z.e}, {z.b, z.h, z.t, z.s}});
  c.operands = std::vector<Operand>(4, in_range(-1, 1));
  c.terms = 8;
  auto run = [=](auto form) {
    return [=](const std::vector<Tensor>& in) {
      AttentionTerms terms;
      terms.bias = in[3];
      SelectedAttentionOptions options;
      options.base.scale = kScale;
      if (own) options.self_score = -0.5;
      return form(in[0], in[1], in[2], lists(in[0].shape(), in[1].dim(2)).to(in[0].device()), terms,
                  options);
    };
  };
  c.run = run(selected_attention);
  c.reference = run(selected_attention_reference);
  c.naive = over_lists(own);
  return c;
}

bool kept(int64_t i, int64_t j) { return (7 * i + 3 * j) % 5 < 2 && i != 1; }

std::shared_ptr<const BlockLayout> layout_of(int64_t t, int64_t s) {
  return BlockLayout::make(
      t, s, kSize,
      [](auto i, auto j) { return (i.begin + j.begin) % 3 == 0 ? Cover::empty : Cover::partial; },
      kept);
}

// f(block, i, j) for each place of each block, i and j in the map.
template <class F>
void each_place(const BlockLayout& layout, F&& f) {
  for (int64_t r = 0; r < layout.rows(); ++r)
    for (int64_t n = layout.row_begin()[static_cast<size_t>(r)];
         n < layout.row_begin()[static_cast<size_t>(r) + 1]; ++n)
      for (int64_t i = 0; i < kSize; ++i)
        for (int64_t j = 0; j < kSize; ++j)
          f(n, i, j, r * kSize + i, layout.column()[static_cast<size_t>(n)] * kSize + j);
}

OpCase sampled() {
  OpCase c;
  c.op = "sampled_product";
  c.operands = {Operand{}, Operand{}};
  c.shapes = {{{1, 2, 5, 3}, {1, 2, 7, 3}}, {{2, 1, 4, 1}, {2, 1, 4, 1}}};
  c.terms = 3;
  c.run = [](const std::vector<Tensor>& in) {
    return sampled_product(in[0], in[1], *layout_of(in[0].dim(2), in[1].dim(2)));
  };
  c.naive = [](const std::vector<Values>& in) {
    const Shape &q = in[0].shape, &k = in[1].shape;
    auto layout = layout_of(q[2], k[2]);
    Values out(Shape{q[0], q[1], layout->block_count(), kSize, kSize});
    for (int64_t b = 0; b < q[0]; ++b)
      for (int64_t h = 0; h < q[1]; ++h)
        each_place(*layout, [&](int64_t n, int64_t i, int64_t j, int64_t row, int64_t column) {
          for (int64_t c = 0; c < q[3] && row < q[2] && column < k[2]; ++c)
            out({b, h, n, i, j}) += in[0]({b, h, row, c}) * in[1]({b, h, column, c});
        });
    return out;
  };
  return c;
}

// Blocks of every kind; a size that divides no tile, and one of several tiles.
std::shared_ptr<const BlockLayout> mixed(int64_t t, int64_t s, int64_t size) {
  auto keep = [](int64_t i, int64_t j) { return (7 * i + 3 * j) % 5 < 3; };
  auto cover = [size](auto i, auto j) {
    int64_t kind = (i.begin / size + 2 * (j.begin / size)) % 4;
    return kind == 0 ? Cover::empty : kind == 1 ? Cover::full : Cover::partial;
  };
  return BlockLayout::make(t, s, size, cover, keep);
}

OpCase over_layout(int64_t size) {
  OpCase c;
  c.op = "fused_attention";
  c.label = str("layout of ", size);
  struct Size {
    int64_t b, h, kv, t, s, d, e;
  };
  for (Size z : {Size{1, 2, 1, 3, 4, 2, 3}, Size{1, 1, 1, 1, 1, 1, 1}, Size{2, 2, 1, 41, 67, 8, 24},
                 Size{1, 1, 1, 200, 170, 5, 3}})
    c.shapes.push_back({{z.b, z.h, z.t, z.d}, {z.b, z.kv, z.s, z.d}, {z.b, z.kv, z.s, z.e}});
  c.operands = std::vector<Operand>(3, in_range(-1, 1));
  c.terms = 8;
  auto run = [=](auto form) {
    return [=](const std::vector<Tensor>& in) {
      AttentionTerms terms;
      terms.layout = mixed(in[0].dim(2), in[1].dim(2), size);
      return form(in[0], in[1], in[2], terms, FusedAttentionOptions{.scale = kScale});
    };
  };
  c.run = run(fused_attention);
  c.reference = run(fused_attention_reference);
  c.naive = [=](const std::vector<Values>& in) {
    const Values &q = in[0], &k = in[1], &v = in[2];
    int64_t group = q.shape[1] / k.shape[1];
    auto layout = mixed(q.shape[2], k.shape[2], size);
    Values out(Shape{q.shape[0], q.shape[1], q.shape[2], v.shape[3]});
    for (int64_t b = 0; b < q.shape[0]; ++b)
      for (int64_t h = 0; h < q.shape[1]; ++h)
        for (int64_t i = 0; i < q.shape[2]; ++i) {
          double total = 0;
          for (int64_t j = 0; j < k.shape[2]; ++j) {
            if (!layout->keeps(i, j)) continue;
            double score = 0;
            for (int64_t c = 0; c < q.shape[3]; ++c)
              score += kScale * q({b, h, i, c}) * k({b, h / group, j, c});
            total += std::exp(score);
            for (int64_t c = 0; c < v.shape[3]; ++c)
              out({b, h, i, c}) += std::exp(score) * v({b, h / group, j, c});
          }
          for (int64_t c = 0; c < v.shape[3]; ++c)
            if (total > 0) out({b, h, i, c}) /= total;
        }
    return out;
  };
  return c;
}

constexpr int64_t kQueries = 3, kKeys = 4;

OpCase softened() {
  OpCase c;
  c.op = "block_softmax";
  c.operands = {Operand{}};
  c.shapes = {{{2, 1, layout_of(kQueries, kKeys)->block_count(), kSize, kSize}}};
  c.run = [](const std::vector<Tensor>& in) {
    return block_softmax(in[0], *layout_of(kQueries, kKeys));
  };
  c.naive = [](const std::vector<Values>& in) {
    auto layout = layout_of(kQueries, kKeys);
    Values out(in[0].shape);
    for (int64_t b = 0; b < in[0].shape[0]; ++b)
      for (int64_t q = 0; q < kQueries; ++q) {
        double total = 0;
        auto each = [&](auto f) {
          each_place(*layout, [&](int64_t n, int64_t i, int64_t j, int64_t row, int64_t column) {
            if (row == q && column < kKeys && layout->keeps(row, column)) f(Shape{b, 0, n, i, j});
          });
        };
        each([&](const Shape& at) { total += out(at) = std::exp(in[0](at)); });
        each([&](const Shape& at) { out(at) /= total; });
      }
    return out;
  };
  return c;
}

OpCase product() {
  OpCase c;
  c.op = "block_sparse_product";
  c.operands = {Operand{}, Operand{}};
  c.shapes = {{{2, 1, layout_of(kQueries, kKeys)->block_count(), kSize, kSize}, {2, 1, kKeys, 3}}};
  c.terms = 7;
  c.run = [](const std::vector<Tensor>& in) {
    return block_sparse_product(in[0], in[1], *layout_of(kQueries, kKeys));
  };
  c.naive = [](const std::vector<Values>& in) {
    auto layout = layout_of(kQueries, kKeys);
    const Shape& v = in[1].shape;
    Values out(Shape{v[0], v[1], kQueries, v[3]});
    for (int64_t b = 0; b < v[0]; ++b)
      each_place(*layout, [&](int64_t n, int64_t i, int64_t j, int64_t row, int64_t column) {
        for (int64_t c = 0; c < v[3] && row < kQueries && column < kKeys; ++c)
          out({b, 0, row, c}) += in[0]({b, 0, n, i, j}) * in[1]({b, 0, column, c});
      });
    return out;
  };
  return c;
}

int64_t topk_finds_the_largest() {
  Tensor q = full({1, 1, 2, 1}, 1, DType::f64);
  Tensor k = Tensor::from(std::vector<double>{2, 5, 3, 5, 1}, {1, 1, 5, 1});
  AttentionTerms terms;
  terms.causal = true;
  terms.offset = {1};
  std::vector<double> found = attention_topk(q, k, terms, 1, 2).to_vector();
  if (found != std::vector<double>{0, 1, 1, 2}) throw Error("attention_topk: wrong keys");
  found = attention_topk(q, k, {}, 1, 9).to_vector();
  if (found != std::vector<double>{0, 1, 2, 3, 4, 0, 1, 2, 3, 4})
    throw Error("attention_topk: count is not cut to the keys");
  return 14;
}

int64_t lists_become_pairs() {
  Tensor list = Tensor::from(std::vector<int32_t>{0, 2, -1, 3, 3, -1}, {1, 1, 2, 3});
  std::vector<double> found = listed_pairs(list, 4).to_vector();
  if (found != std::vector<double>{1, 0, 1, 0, 0, 0, 0, 1}) throw Error("listed_pairs: wrong");
  return 8;
}

// What backends/lsh.h says of query i of one head, by looking at every key.
std::vector<double> keys_near(const std::vector<int64_t>& query, const std::vector<int64_t>& key,
                              int64_t i, int64_t offset, int64_t begin, int64_t end, int64_t chunk,
                              bool causal) {
  std::vector<double> found;
  auto bucket = [&](int64_t j) { return key[static_cast<size_t>(j)]; };
  int64_t mine = query[static_cast<size_t>(i)], own = i + offset;
  if (causal) {
    for (int64_t j = std::min(end, own) - 1; j >= begin; --j)
      if (bucket(j) == mine && static_cast<int64_t>(found.size()) < chunk - 1)
        found.push_back(static_cast<double>(j));
    return found;
  }
  // The place of a position among the valid keys in order of bucket, then position.
  auto place = [&](int64_t at) {
    int64_t before = 0;
    for (int64_t j = begin; j < end; ++j)
      before += bucket(j) < mine || (bucket(j) == mine && j < at);
    return before;
  };
  int64_t at = place(own) / chunk;
  for (int64_t j = begin; j < end; ++j)
    if (bucket(j) == mine && (place(j) / chunk == at || place(j) / chunk == at - 1))
      found.push_back(static_cast<double>(j));
  return found;
}

int64_t lsh_finds_neighbours(bool causal) {
  constexpr int64_t kRounds = 2, kQueries = 9, kKeys = 13, kBuckets = 4, kChunk = 3;
  Generator random(causal ? 1 : 2);
  std::vector<int64_t> query[2][kRounds], key[2][kRounds];  // of two batch rows, one head
  std::vector<int32_t> query_hash, key_hash;
  for (int b = 0; b < 2; ++b)
    for (int r = 0; r < kRounds; ++r) {
      for (int64_t i = 0; i < kQueries; ++i)
        query[b][r].push_back(static_cast<int64_t>(random.integer(kBuckets)));
      for (int64_t j = 0; j < kKeys; ++j)
        key[b][r].push_back(static_cast<int64_t>(random.integer(kBuckets)));
      query_hash.insert(query_hash.end(), query[b][r].begin(), query[b][r].end());
      key_hash.insert(key_hash.end(), key[b][r].begin(), key[b][r].end());
    }
  LshSearch search{kChunk, kBuckets, causal, {0, 2}, {13, 11}, {0, 1}, {9, 8}, {4, 3}, 0};
  search.length = kRounds * 2 * kChunk + 1;
  Tensor lists = lsh_candidates(Tensor::from(query_hash, {2, 1, kRounds, kQueries}),
                                Tensor::from(key_hash, {2, 1, kRounds, kKeys}), search);
  std::vector<double> found = lists.to_vector();
  for (int64_t b = 0; b < 2; ++b)
    for (int64_t i = 0; i < kQueries; ++i) {
      std::set<double> want;
      if (i >= search.query_begin[b] && i < search.query_end[b]) {
        for (int r = 0; r < kRounds; ++r)
          for (double j : keys_near(query[b][r], key[b][r], i, search.offset[b],
                                    search.key_begin[b], search.key_end[b], kChunk, causal))
            want.insert(j);
        int64_t own = i + search.offset[b];
        if (own >= search.key_begin[b] && own < search.key_end[b])
          want.insert(static_cast<double>(own));
      }
      std::vector<double> list(want.begin(), want.end());
      list.resize(static_cast<size_t>(search.length), -1);
      auto from = found.begin() + (b * kQueries + i) * search.length;
      if (!std::equal(list.begin(), list.end(), from))
        throw Error(str("lsh_candidates: wrong keys of query ", i, " in row ", b));
    }
  return 2 * kQueries;
}

OpCase by_hand(const std::string& op, const std::string& label, std::function<int64_t()> custom) {
  OpCase c;
  c.op = op;
  c.label = label;
  c.custom = std::move(custom);
  return c;
}

}  // namespace

std::vector<OpCase> sparse_attention_cases() {
  return {selected(false),
          selected(true),
          by_hand("attention_topk", "", topk_finds_the_largest),
          by_hand("listed_pairs", "", lists_become_pairs),
          by_hand("lsh_candidates", "causal", [] { return lsh_finds_neighbours(true); }),
          by_hand("lsh_candidates", "chunks", [] { return lsh_finds_neighbours(false); }),
          over_layout(1),
          over_layout(20),
          over_layout(80),
          sampled(),
          softened(),
          product()};
}

}  // namespace heed::test
