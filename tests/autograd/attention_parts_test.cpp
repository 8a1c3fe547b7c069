// The output and the log-sum-exp of fused attention are two outputs of one op.
#include <cmath>

#include <heed/autograd/grad_mode.h>
#include <heed/tests/autograd/attention_cases.h>

namespace heed::attention_test {
namespace {

std::vector<Tensor> three() {
  std::vector<Tensor> in;
  for (uint64_t seed : {1, 2, 3})
    in.push_back(
        Tensor(random_normal({2, 3, 5, 4}, 0, 1, {seed, 0}, DType::f64)).set_requires_grad(true));
  return in;
}

TEST_CASE("attention parts: either output alone, first and second derivatives", "[attention]") {
  AttentionTerms terms;
  terms.causal = true;
  for (bool only_lse : {false, true}) {
    auto run = [&](auto form) {
      return [=](const std::vector<Tensor>& in) {
        AttentionParts parts = form(in[0], in[1], in[2], terms, {.scale = 0.7});
        return only_lse ? parts.lse : parts.out;
      };
    };
    auto fused = run(&fused_attention_parts), reference = run(&fused_attention_parts_reference);
    std::vector<Tensor> in = three();
    Tensor y = fused(in), g(random_normal(y.shape(), 0, 1, {9, 0}, DType::f64));
    BackwardOptions allow;
    allow.allow_unused = true;
    auto got = grad({y}, in, {g}, allow), want = grad({reference(in)}, in, {g}, allow);
    for (size_t i = 0; i < 3; ++i)
      for (int64_t n = 0; n < in[i].numel(); ++n) {
        double expected = want[i].defined() ? want[i].to_vector()[static_cast<size_t>(n)] : 0;
        CHECK(std::abs(got[i].to_vector()[static_cast<size_t>(n)] - expected) < 1e-12);
      }
  }
  auto lse = [&](const std::vector<Tensor>& in) {
    return fused_attention_parts(in[0], in[1], in[2], terms, {.scale = 0.7}).lse;
  };
  GradcheckResult second = gradgradcheck(lse, three());
  INFO(second.message);
  CHECK(second);
}

TEST_CASE("attention parts: the heads merge without a copy", "[attention]") {
  std::vector<Tensor> in = three();
  AttentionParts parts = fused_attention_parts(in[0], in[1], in[2], {}, {.scale = 0.7});
  CHECK(parts.out.transpose(1, 2).array().is_contiguous());
  CHECK(parts.lse.array().is_contiguous());
  CHECK(parts.out.to_vector() ==
        fused_attention(in[0], in[1], in[2], {}, {.scale = 0.7}).to_vector());
}

TEST_CASE("attention parts: the lse of a row without a key is no anomaly", "[attention]") {
  std::vector<Tensor> in = three();
  AttentionTerms terms;
  terms.pair_mask = Tensor::from({1.0, 0.0, 1.0, 1.0, 1.0}, {5, 1}).to(DType::boolean);
  AnomalyMode guard;
  AttentionParts parts = fused_attention_parts(in[0], in[1], in[2], terms, {.scale = 0.7});
  CHECK(parts.lse.to_vector()[1] == -HUGE_VAL);
  sum(fused_attention(in[0], in[1], in[2], terms, {.scale = 0.7})).backward();
  CHECK(std::isfinite(in[0].grad().to_vector()[0]));
}

}  // namespace
}  // namespace heed::attention_test
