#include <heed/nn/attention/conformance.h>

#include <set>

#include <heed/autograd/backward.h>
#include <heed/autograd/flop_counter.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/core/live_bytes.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;
using nn::CheckOutcome;

namespace {

#ifdef __SANITIZE_ADDRESS__
constexpr bool kSanitized = true;
#else
constexpr bool kSanitized = false;
#endif

int64_t count_of(const nn::ConformanceReport& report, const std::string& check,
                 CheckOutcome outcome) {
  return std::count_if(report.results.begin(), report.results.end(),
                       [&](const auto& r) { return r.check == check && r.outcome == outcome; });
}

// softmax attention whose values are doubled: wrong in one place only.
class Doubled : public nn::DenseAttention {
 public:
  using DenseAttention::DenseAttention;
  const char* name() const override { return "doubled"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const nn::AttentionCall& call) const override {
    return 2.0 * DenseAttention::forward(q, k, v, call);
  }
};

nn::AttentionEntry doubled() {
  nn::AttentionEntry entry;
  entry.name = "doubled";
  entry.make = [](const nn::AttentionConfig& config, nn::SharedParameters&) {
    return std::make_unique<Doubled>(config);
  };
  return entry;
}

}  // namespace

TEST_CASE("conformance: every variant passes, in f64 and f32", "[conformance]") {
  // Under sanitizers, which slow it thirtyfold: f64 alone, without what counts memory and
  // operations (not the allocator's there) and without second derivatives (the operator suite has
  // them).
  std::vector<DType> dtypes{DType::f64};
  if (!kSanitized) dtypes.push_back(DType::f32);
  std::vector<std::string> checks;
  for (const nn::ConformanceCheck& check : nn::conformance_checks())
    if (!kSanitized ||
        !std::set<std::string>{"second-derivatives", "memory", "activations", "flops"}.contains(
            check.name))
      checks.push_back(check.name);
  for (const nn::AttentionEntry& entry : nn::attention_catalog())
    for (DType dtype : dtypes) {
      nn::ConformanceReport report = nn::check_attention(entry, {.dtype = dtype, .checks = checks});
      INFO(nn::to_string(report));
      CHECK(report.executed() > 20);
      CHECK(report.passed());
      // What every variant must have executed, whatever its traits.
      for (const char* check : {"linearity", "batch", "determinism", "memoryless", "save-load",
                                "lengths", "sizes", "empty", "refusals", "dropout"})
        for (const nn::CheckResult& r : report.results)
          if (r.check == check) CHECK(r.outcome == CheckOutcome::passed);
    }
}

TEST_CASE("conformance: dense leaves nothing out", "[conformance]") {
  nn::ConformanceReport report = nn::check_attention(nn::find_attention("dense"));
  for (const nn::CheckResult& r : report.results) {
    INFO(nn::to_string(r));
    // Rows with a sink sum to less than 1.
    bool applies = r.check != "precision" && (r.check != "row-sums" || r.options.empty());
    CHECK((r.outcome == CheckOutcome::passed) == applies);
    CHECK((r.compared > 0) == applies);
  }
  REQUIRE(report.results.size() == 2 * nn::conformance_checks().size());
}

TEST_CASE("conformance: a report says what failed, and how far off", "[conformance]") {
  nn::ConformanceReport report =
      nn::check_attention(doubled(), {.checks = {"exact-limit", "row-sums", "causality"}});
  REQUIRE_FALSE(report.passed());
  REQUIRE(report.executed() == 3);
  REQUIRE(report.failed() == 2);
  REQUIRE(count_of(report, "causality", CheckOutcome::passed) == 1);
  const nn::CheckResult& limit = report.results[1];
  REQUIRE(limit.check == "exact-limit");
  REQUIRE(limit.outcome == CheckOutcome::failed);
  REQUIRE_THAT(limit.measured, WithinAbs(1, 1e-6));  // |2 x - x| / |x|
  REQUIRE(limit.bound < 1e-10);
  REQUIRE_THAT(limit.detail, ContainsSubstring("output differs from the reference"));
  REQUIRE_THAT(nn::to_string(report), ContainsSubstring("FAILED"));
  REQUIRE_THAT(nn::to_string(report), ContainsSubstring("doubled: 3 checks, 2 failed"));
}

TEST_CASE("conformance: options of an entry are run too; bad requests are refused",
          "[conformance]") {
  nn::AttentionEntry entry = nn::find_attention("dense");
  entry.checked = {"left=3"};  // dense has no such option
  nn::ConformanceReport report = nn::check_attention(entry, {.checks = {"linearity"}});
  REQUIRE(report.results.size() == 2);
  REQUIRE(report.results[0].outcome == CheckOutcome::passed);
  REQUIRE(report.results[1].outcome == CheckOutcome::failed);
  REQUIRE(report.results[1].options == "left=3");
  REQUIRE_THAT(report.results[1].detail, ContainsSubstring("left"));
  REQUIRE_THROWS_SAYING(nn::check_attention(entry, {.checks = {"luck"}}), ValueError,
                        "unknown check 'luck'; there are causality");
  REQUIRE_THROWS_SAYING(nn::check_attention(entry, {.dtype = DType::i64}), DTypeError, "i64");
  REQUIRE_FALSE(nn::ConformanceReport{}.passed());  // nothing executed
}

TEST_CASE("conformance: the default generator stays where it was", "[conformance]") {
  uint64_t offset = default_generator().offset(), seed = default_generator().seed();
  nn::check_attention(nn::find_attention("dense"), {.checks = {"save-load"}});
  REQUIRE(default_generator().offset() == offset);
  REQUIRE(default_generator().seed() == seed);
}

TEST_CASE("flop counter: contractions, forward and backward, nested") {
  Tensor a = numbers({3, 4, 5}, 1).set_requires_grad(true);
  Tensor b = numbers({5, 6}, 2).set_requires_grad(true);
  Tensor w = numbers({7, 6}, 3).set_requires_grad(true);
  FlopCounter all;
  Tensor out = matmul(a, b);
  REQUIRE(all.flops() == 2 * 3 * 4 * 5 * 6);
  {
    FlopCounter inner;
    out = linear(out, w);
    REQUIRE(inner.flops() == 2 * 3 * 4 * 6 * 7);
  }
  int64_t forward = 2 * 12 * 6 * (5 + 7);
  REQUIRE(all.flops() == forward);
  grad({out}, {a, b, w}, {numbers({3, 4, 7}, 4)});
  REQUIRE(all.flops() == 3 * forward);  // two products more for each
}

TEST_CASE("flop counter: fused attention counts the pairs that ranges leave") {
  Tensor q = numbers({2, 3, 6, 4}, 1), k = numbers({2, 3, 8, 4}, 2), v = numbers({2, 3, 8, 5}, 3);
  AttentionTerms terms;
  terms.causal = true;
  terms.window_left = 2;
  terms.key_end = {8, 3};
  terms.query_begin = {1, 0};
  // Row i of item 0 sees keys i to i + 2 (offset 2): 3 each, rows 1 to 5. Item 1: of keys 0 to 2,
  // row 0 sees 3, row 1 sees 2, row 2 sees 1.
  int64_t pairs = 3 * (15 + 6);
  FlopCounter counter;
  fused_attention(q, k, v, terms, {});
  REQUIRE(counter.flops() == 2 * pairs * 9);
}

TEST_CASE("live bytes: what arrays asked for, no more") {
  int64_t before = live_bytes();
  {
    Tensor x = zeros({1000, 3}, DType::f32), view = x.slice(0, 0, 5);
    REQUIRE(live_bytes() - before == 12000);
  }
  REQUIRE(live_bytes() == before);
}
