// The few lines of docs/common_mistakes.md that are right, at the shapes given there; and what
// fails in the widely copied ones.
#include <cmath>

#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/low_rank.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
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
  Tensor visible = call.mask.dense(2, x.t, x.s);
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
