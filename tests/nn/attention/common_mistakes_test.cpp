// The few lines of docs/common_mistakes.md that are right, at the shapes given there; and what
// fails in the widely copied ones.
#include <cmath>
#include <limits>
#include <numeric>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/decompose.h>
#include <heed/autograd/ops/gather.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/low_rank.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/core/memory.h>
#include <heed/core/parallel.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;

namespace {

double distance(const Tensor& a, const Tensor& b) {  // RMS(a - b) / RMS(b)
  Tensor d = a - b;
  return std::sqrt(sum(d * d).item() / sum(b * b).item());
}

struct Sample {
  int64_t t = 6, s = 20, d = 10, e = 5;
  Tensor q = randn({2, 3, t, d}, DType::f64), k = randn({2, 3, s, d}, DType::f64),
         v = randn({2, 3, s, e}, DType::f64);
  Tensor scores = matmul(q, transpose(k, 2, 3)) * (1 / std::sqrt(static_cast<double>(d)));

  Tensor variant(const std::string& spec) const {
    auto a = nn::make_attention(
        spec, {.heads = 3, .kv_heads = 3, .head_dim = d, .value_dim = e, .max_length = s});
    return a->forward(q, k, v, {});
  }
};

constexpr double kInfinity = std::numeric_limits<double>::infinity();

std::unique_ptr<nn::Attention> variant_for(const std::string& spec, const Tensor& q,
                                           const Tensor& v, bool causal = false) {
  return nn::make_attention(spec, {.heads = q.dim(1),
                                   .kv_heads = q.dim(1),
                                   .head_dim = q.dim(3),
                                   .value_dim = v.dim(3),
                                   .max_length = q.dim(2),
                                   .causal = causal});
}

// The whole map [B, H, T, S].
Tensor map_of(const nn::Attention& attention, const Tensor& q, const Tensor& k) {
  std::vector<int64_t> rows(static_cast<size_t>(q.dim(2)));
  std::iota(rows.begin(), rows.end(), 0);
  return attention.weights(q, k, {}, rows);
}

Tensor map_of(const std::string& spec, const Tensor& q, const Tensor& k) {
  return map_of(*variant_for(spec, q, q), q, k);
}

// The lines of the page: what each round gives [B, H, R, T, E], and the rounds merged.
struct Rounds {
  Tensor each, merged;
};

Rounds hashed(const nn::LshAttention& lsh, const Tensor& q, const Tensor& v) {
  double scale = 1 / std::sqrt(static_cast<double>(q.dim(3)));
  Tensor keys = q / sqrt(sum(q * q, {-1}, true));  // [B, H, T, D]
  Tensor scores = where(equal(eye(q.dim(2)), 1.0), -5e4, matmul(q * scale, transpose(keys, 2, 3)));
  Tensor bucket = lsh.hash(q);                                                // [B, H, R, T]
  Tensor same = equal(unsqueeze(bucket, 4), unsqueeze(bucket, 3));            // [B, H, R, T, T]
  Tensor count = sum(cast(same, DType::f64), {2});                            // [B, H, T, T]
  Tensor found = where(same, unsqueeze(scores - log(count), 2), -kInfinity);  // [B, H, R, T, T]
  Tensor share = softmax(logsumexp(found, -1, true), 2);                      // [B, H, R, T, 1]
  Tensor merged = sum(share * matmul(softmax(found, -1), unsqueeze(v, 2)), {2});
  // Rounds that do not know of each other.
  Tensor alone = where(same, unsqueeze(scores, 2), -kInfinity);
  return {matmul(softmax(alone, -1), unsqueeze(v, 2)), merged};
}

// Bytes beyond the operands that `f` needs at most.
template <class F>
double peak_bytes(F&& f) {
  f();
  int64_t before = memory_stats().current_bytes;
  reset_peak_memory();
  f();
  return static_cast<double>(memory_stats().peak_bytes - before);
}

struct OneThread {  // scratch memory depends on who runs beside whom
  int before = num_threads();
  OneThread() { set_num_threads(1); }
  ~OneThread() { set_num_threads(before); }
};

}  // namespace

TEST_CASE("common mistakes: top-k gathers values for each query", "[common_mistakes]") {
  manual_seed(1);
  Sample x;
  Selected best = topk(x.scores, 4);  // [B, H, T, 4]
  // The copied line: an index with T rows on values that have none.
  REQUIRE_THROWS_AS(gather(x.v, 2, best.indices), ShapeError);

  Tensor p = softmax(best.values, -1);                                  // [B, H, T, 4]
  Tensor all = broadcast_to(unsqueeze(x.v, 2), {2, 3, x.t, x.s, x.e});  // [B, H, T, S, E]
  Tensor index = broadcast_to(unsqueeze(best.indices, 4), {2, 3, x.t, 4, x.e});
  Tensor out = squeeze(matmul(unsqueeze(p, 3), gather(all, 3, index)), 3);  // [B, H, T, E]
  REQUIRE(distance(out, x.variant("topk:k=4")) < 1e-12);
}

TEST_CASE("common mistakes: low rank needs its singular values", "[common_mistakes]") {
  manual_seed(2);
  Sample x;
  double scale = 1 / std::sqrt(static_cast<double>(x.d));
  auto attend = [&](const Tensor& a, const Tensor& b) {
    return matmul(softmax(matmul(a, transpose(b, -1, -2)), -1), x.v);
  };
  // min(T, S, D) = 6 is the rank of these scores: everything is kept.
  LogitFactors f = low_rank_logits(x.q * scale, x.k, {.rank = 6});
  REQUIRE(distance(attend(f.q, f.k), x.variant("dense")) < 1e-10);
  // Without them: U V^T. Columns of f.q have the singular values as their lengths.
  Tensor lengths = sqrt(sum(f.q * f.q, {-2}, true));
  REQUIRE(distance(attend(f.q / lengths, f.k), x.variant("dense")) > 0.1);
}

TEST_CASE("common mistakes: a large negative number is no mask", "[common_mistakes]") {
  manual_seed(3);
  Sample x;
  nn::AttentionCall call;
  call.mask = nn::Mask::key_padding({20, 0});  // item 1 has no key at all
  auto dense =
      nn::make_attention("dense", {.heads = 3, .kv_heads = 3, .head_dim = x.d, .value_dim = x.e});
  Tensor out = dense->forward(x.q, x.k, x.v, call);
  for (double y : out.slice(0, 1, 2).to_vector()) REQUIRE(y == 0);
  // The copied line gives such a row the mean of what it must not see.
  Tensor visible = call.mask.dense(2, x.t, x.s, kCpu);
  Tensor copied = matmul(softmax(where(visible, x.scores, -1e9), -1), x.v).slice(0, 1, 2);
  Tensor mean_of_all = mean(x.v, {2}, true).slice(0, 1, 2);
  REQUIRE(distance(copied, broadcast_to(mean_of_all, copied.shape())) < 1e-12);
}

TEST_CASE("common mistakes: without 1 / sqrt(d) one key takes it all", "[common_mistakes]") {
  manual_seed(4);
  Tensor q = randn({500, 1, 64}, DType::f64), k = randn({500, 20, 64}, DType::f64);
  Tensor scores = matmul(q, transpose(k, 1, 2));  // [500, 1, 20]
  double bare = mean(max(softmax(scores, -1), -1)).item();
  double scaled = mean(max(softmax(scores * (1 / 8.0), -1), -1)).item();
  REQUIRE(std::fabs(bare - 0.83) < 0.03);
  REQUIRE(std::fabs(scaled - 0.22) < 0.03);
}

TEST_CASE("common mistakes: LSH merges its rounds by log-sum-exp", "[common_mistakes]") {
  manual_seed(5);
  Tensor q = randn({2, 3, 40, 10}, DType::f64), v = randn({2, 3, 40, 5}, DType::f64);
  // A chunk as long as the sequence: a round's candidates are its bucket.
  for (std::string rounds : {"1", "3"}) {
    INFO("rounds " << rounds);
    auto a = variant_for("lsh:buckets=4,chunk=40,rounds=" + rounds, q, v);
    Rounds got = hashed(dynamic_cast<const nn::LshAttention&>(*a), q, v);
    REQUIRE(got.merged.shape() == v.shape());
    REQUIRE(distance(got.merged, a->forward(q, q, v, {})) < 1e-10);
    // The copied mean is right for one round alone.
    double mean_off = distance(mean(got.each, {2}), got.merged);
    if (rounds == "1") REQUIRE(mean_off < 1e-12);
    else REQUIRE(mean_off > 0.2);
  }
  // One bucket, however often: all tokens but oneself.
  Tensor keys = q / sqrt(sum(q * q, {-1}, true));
  Tensor scores = matmul(q, transpose(keys, 2, 3)) * (1 / std::sqrt(10.0));
  Tensor others = where(equal(eye(40), 1.0), -kInfinity, scores);
  for (std::string rounds : {"1", "3"}) {
    auto a = variant_for("lsh:buckets=1,chunk=40,rounds=" + rounds, q, v);
    Rounds got = hashed(dynamic_cast<const nn::LshAttention&>(*a), q, v);
    REQUIRE(distance(got.merged, matmul(softmax(others, -1), v)) < 1e-12);
    REQUIRE(distance(got.merged, matmul(softmax(scores, -1), v)) > 0.01);
  }
}

TEST_CASE("common mistakes: LSH with shared q and k must leave out the own key",
          "[common_mistakes]") {
  manual_seed(6);
  Tensor q = randn({300, 1, 20, 64}, DType::f64);
  Tensor own = equal(eye(20), 1.0);
  Tensor p = softmax(matmul(q, transpose(q, 2, 3)) * (1 / 8.0), -1);
  double weight = sum(where(own, p, 0.0)).item() / (300 * 20);
  REQUIRE(std::fabs(weight - 0.98) < 0.01);
  // Directions for keys: the largest score of each row all the same.
  Tensor keys = q / sqrt(sum(q * q, {-1}, true));
  std::vector<double> largest = argmax(matmul(q, transpose(keys, 2, 3)), -1).to_vector();
  for (size_t i = 0; i < largest.size(); ++i) REQUIRE(largest[i] == static_cast<double>(i % 20));
  // Queries and keys hashed apart: some queries fall into a bucket without any key.
  auto apart = variant_for("lsh:buckets=32,chunk=20,rounds=1", q, q);
  const auto& lsh = dynamic_cast<const nn::LshAttention&>(*apart);
  Tensor of_q = lsh.hash(q), of_k = lsh.hash(randn({300, 1, 20, 64}, DType::f64));
  Tensor same = equal(unsqueeze(of_q, 4), unsqueeze(of_k, 3));  // [300, 1, 1, 20, 20]
  REQUIRE(min(sum(cast(same, DType::f64), {4}).reshape({-1}), 0).item() == 0);
  // heed's map: nothing on the diagonal, and rows that sum to 1.
  Tensor map = map_of("lsh:buckets=1,chunk=20", q, q);
  REQUIRE(sum(where(own, map, 0.0)).item() == 0);
  REQUIRE(std::fabs(sum(map).item() / (300 * 20) - 1) < 1e-12);
}

TEST_CASE("common mistakes: LSH in chunks of the sorted tokens is not causal",
          "[common_mistakes]") {
  manual_seed(7);
  Tensor q = randn({2, 3, 40, 10}, DType::f64), v = randn({2, 3, 40, 5}, DType::f64);
  Tensor changed = q.clone();  // the last token in the opposite direction: in another bucket
  changed.slice(2, 39, 40).copy_(-q.slice(2, 39, 40));
  const std::string spec = "lsh:buckets=4,chunk=4,rounds=1";
  auto earlier = [](const Tensor& x) { return x.slice(2, 0, 39).slice(3, 0, 39); };
  auto seen = [&](const Tensor& x) { return earlier(greater(map_of(spec, x, x), 0.0)); };
  // Which earlier keys (j <= i) a row sees, were later ones masked afterwards.
  Tensor place = arange(39, DType::i64);
  Tensor past = less_equal(unsqueeze(place, 0), unsqueeze(place, 1));  // [39, 39]
  REQUIRE(logical_and(seen(q), past).to_vector() != logical_and(seen(changed), past).to_vector());
  auto causal = variant_for(spec, q, v, true);
  auto rows = [&](const Tensor& x) { return causal->forward(x, x, v, {}).slice(2, 0, 39); };
  REQUIRE(rows(q).to_vector() == rows(changed).to_vector());
}

TEST_CASE("common mistakes: performer estimates softmax, linear and efficient replace it",
          "[common_mistakes]") {
  manual_seed(8);
  Tensor q = randn({1, 6, 64, 16}, DType::f64) * 0.5, k = randn({1, 6, 64, 16}, DType::f64) * 0.5;
  Tensor dense = map_of("dense", q, k);
  auto off = [&](const std::string& spec) { return distance(map_of(spec, q, k), dense); };
  double few = off("performer:features=256"), many = off("performer:features=4096");
  CAPTURE(few, many);
  REQUIRE(std::fabs(few - 0.15) < 0.04);
  REQUIRE(std::fabs(many - 0.042) < 0.015);
  REQUIRE(many < few / 2);  // 1 / sqrt(m): a quarter
  REQUIRE(std::fabs(off("linear") - 0.23) < 0.02);
  REQUIRE(std::fabs(off("efficient") - 0.23) < 0.02);
  REQUIRE(std::fabs(distance(full(dense.shape(), 1 / 64.0, DType::f64), dense) - 0.24) < 0.02);
  Tensor q2 = q * 2.0, k2 = k * 2.0;
  REQUIRE(distance(map_of("performer:features=4096", q2, k2), map_of("dense", q2, k2)) > 0.34);
}

TEST_CASE("common mistakes: linear attention has a denominator", "[common_mistakes]") {
  manual_seed(9);
  Sample x;
  auto phi = [](const Tensor& t) { return where(greater(t, 0.0), t + 1.0, exp(t)); };
  auto copied = [&](const Tensor& k, const Tensor& v) {
    return matmul(phi(x.q), matmul(transpose(phi(k), 2, 3), v));
  };
  auto linear = variant_for("linear:eps=0", x.q, x.v);
  Tensor twice_k = concat({x.k, x.k}, 2), twice_v = concat({x.v, x.v}, 2);
  REQUIRE(distance(copied(twice_k, twice_v), copied(x.k, x.v) * 2.0) < 1e-12);
  Tensor out = linear->forward(x.q, x.k, x.v, {});
  REQUIRE(distance(linear->forward(x.q, twice_k, twice_v, {}), out) < 1e-12);
  Tensor total = matmul(phi(x.q), transpose(sum(phi(x.k), {2}, true), 2, 3));  // [B, H, T, 1]
  REQUIRE(distance(copied(x.k, x.v) / total, out) < 1e-12);
}

TEST_CASE("common mistakes: forms of linear cost have maps of rank D", "[common_mistakes]") {
  manual_seed(10);
  Tensor q = randn({1, 2, 48, 8}, DType::f64), k = randn({1, 2, 48, 8}, DType::f64);
  auto ranks = [&](const std::string& spec, int64_t rank, double share) {
    auto attention = variant_for(spec, q, k);
    nn::MapSpectrum s = nn::map_spectrum(*attention, q, k, {}, {.rank = rank, .power = 2});
    return nn::effective_rank(s, share).to_vector();
  };
  REQUIRE(ranks("dense", 48, 1.0) == std::vector<double>{48, 48});
  for (const char* spec : {"linear", "efficient"})
    for (double rank : ranks(spec, 48, 1.0)) {
      INFO(spec);
      REQUIRE(rank <= 8);
    }
  // 99 % of the dense map: what the SVD of the whole map says, more than twice D.
  std::vector<double> found = ranks("dense", 32, 0.99);
  std::vector<double> values = svd(map_of("dense", q, k)).s.to_vector();  // [1, 2, 1, 48]
  for (size_t head = 0; head < 2; ++head) {
    double energy = 0, sum_of_squares = 0;
    for (size_t i = 0; i < 48; ++i) energy += values[head * 48 + i] * values[head * 48 + i];
    size_t rank = 0;
    while (sum_of_squares < 0.99 * energy) {
      double s = values[head * 48 + rank++];
      sum_of_squares += s * s;
    }
    REQUIRE(rank > 16);
    REQUIRE(std::fabs(found[head] - static_cast<double>(rank)) <= 1);
  }
}

TEST_CASE("common mistakes: a map's spectrum does not need the map", "[common_mistakes]") {
  manual_seed(11);
  Tensor q = randn({1, 1, 1024, 16}, DType::f64), k = randn({1, 1, 1024, 16}, DType::f64);
  auto dense = variant_for("dense", q, k);
  double peak =
      peak_bytes([&] { nn::map_spectrum(*dense, q, k, {}, {.rank = 8, .power = 0, .block = 32}); });
  REQUIRE(peak < 1024 * 1024 * 8 / 2);
}

TEST_CASE("common mistakes: exact attention in parts, in memory that grows with the length",
          "[common_mistakes]") {
  manual_seed(12);
  Sample x;
  FusedAttentionOptions options{.scale = 1 / std::sqrt(static_cast<double>(x.d))};
  for (int64_t n : {1, 7, 20}) {
    AttentionParts all =
        fused_attention_parts(x.q, x.k.slice(2, 0, n), x.v.slice(2, 0, n), {}, options);
    for (int64_t j = n; j < x.s; j += n)
      all = merge_attention(all, fused_attention_parts(x.q, x.k.slice(2, j, j + n),
                                                       x.v.slice(2, j, j + n), {}, options));
    REQUIRE(distance(all.out, x.variant("dense")) < 1e-12);
  }

  OneThread thread;
  auto training = [&](int64_t t, bool composed) {
    std::vector<Tensor> in;
    for (int i = 0; i < 3; ++i) in.push_back(randn({1, 2, t, 16}).set_requires_grad(true));
    Tensor cotangent = randn({1, 2, t, 16});
    nn::DenseAttention dense(
        nn::AttentionConfig{.heads = 2, .kv_heads = 2, .head_dim = 16, .value_dim = 16});
    return peak_bytes([&] {
      Tensor out = composed ? dense.reference(in[0], in[1], in[2], {})
                            : dense.forward(in[0], in[1], in[2], {});
      grad({out}, in, {cotangent});
    });
  };
  double fused = training(1024, false), composed = training(1024, true);
  CAPTURE(fused, composed);
  REQUIRE(fused < 5.5 * training(256, false));       // four times the tokens: 4
  REQUIRE(composed > 10 * training(256, true));      // 16
  REQUIRE(fused < 2 * 1024 * 1024 * sizeof(float));  // less than one map
  REQUIRE(composed > 2 * 1024 * 1024 * sizeof(float));
}
