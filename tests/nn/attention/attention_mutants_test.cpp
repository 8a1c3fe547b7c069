// Each published defect, built as a small wrong variant, must be caught by the kit; the right
// variants beside them must pass the same checks.
#include <heed/nn/attention/conformance.h>
#include <heed/tests/nn/attention/mutants/linear_mutants.h>
#include <heed/tests/nn/attention/mutants/non_local_mutants.h>
#include <heed/tests/nn/attention/mutants/nystrom_mutants.h>
#include <heed/tests/nn/attention/mutants/sparse_mutants.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;
using nn::CheckOutcome;

namespace {

struct MutantRow {
  nn::AttentionEntry entry;
  std::vector<std::string> caught_by;    // each of these checks fails
  std::vector<std::string> unseen_by{};  // these pass: why the others are needed
};

nn::Traits stochastic_rows(nn::Traits t) {
  t.row_stochastic = true;
  return t;
}

nn::Traits of_lsh(bool causal) {
  nn::Traits t = traits_of(causal);
  t.shared_qk = t.stochastic = true;
  t.prefix = false;
  return t;
}

std::vector<MutantRow> published_defects() {
  nn::Traits both = stochastic_rows(traits_of(true)), open = traits_of(false);
  Body topk_right = [](const Seen& s) { return topk_attention(s, TopkFlaw::none); };
  return {
      {mutant("1_cumsum_over_channels", both, cumsum_over_channels, kernel_attention),
       {"reach", "exact-limit", "prefix"},
       {"causality", "padding"}},
      {mutant("2_nystrom_ignores_causal", traits_of(true),
              nystrom_body(NystromFlaw::ignores_causal)),
       {"causality"}},
      {mutant("3_nystrom_means_count_padding", open,
              nystrom_body(NystromFlaw::means_count_padding)),
       {"padding", "lengths"},
       {"batch"}},
      {mutant("4_nystrom_start_of_batch", open, nystrom_body(NystromFlaw::start_of_batch)),
       {"batch"},
       {"determinism", "linearity"}},
      {mutant("5a_nystrom_pads_in_landmarks", open, nystrom_body(NystromFlaw::pads_in_landmarks)),
       {"padding", "lengths"}},
      {mutant("5b_nystrom_convolves_padding", open,
              [](const Seen& s) { return nystrom_with_convolution(s, true); }),
       {"padding"},
       {"batch"}},
      {mutant("6_nystrom_zeros_in_front", open, nystrom_body(NystromFlaw::zeros_in_front)),
       {"padding", "lengths"},
       {"batch"}},
      {mutant("7_masks_values_only", both, masks_values_only, kernel_attention),
       {"padding", "exact-limit", "row-sums", "lengths"},
       {"causality", "masked-rows"}},
      {mutant(
           "8a_one_denominator", both, [](const Seen& s) { return one_denominator(s, false); },
           efficient_attention),
       {"prefix", "exact-limit"},
       {"row-sums"}},
      {mutant("8b_raw_exponentials", both, raw_exponentials, efficient_attention),
       {"causality"},
       {"prefix", "exact-limit"}},
      {mutant(
           "9a_lsh_uniform_rounds", of_lsh(true),
           [](const Seen& s) { return lsh_attention(s, LshFlaw::uniform_rounds); }, lsh_explicit),
       {"exact-limit"},
       {"causality", "padding"}},
      {mutant("9b_lsh_unmasked_empty_rows", of_lsh(false),
              [](const Seen& s) { return lsh_attention(s, LshFlaw::unmasked_empty_rows); }),
       {"padding"}},
      {mutant(
           "10a_topk_keeps_ties", both,
           [](const Seen& s) { return topk_attention(s, TopkFlaw::keeps_ties); }, topk_right),
       {"exact-limit"},
       {"padding", "lengths"}},
      {mutant(
           "10b_topk_raises_beyond", both,
           [](const Seen& s) { return topk_attention(s, TopkFlaw::raises_beyond); }, topk_right),
       {"lengths"},
       {"exact-limit"}},
      {mutant(
           "10c_topk_never_picks_nan", both,
           [](const Seen& s) { return topk_attention(s, TopkFlaw::never_picks_nan); }, topk_right),
       {"nan"},
       {"exact-limit", "padding"}},
      {mutant("11a_without_normaliser", both, without_normaliser, kernel_attention),
       {"exact-limit", "row-sums"},
       {"linearity", "padding", "lengths"}},
      {mutant("11b_scaled_by_length", both, scaled_by_length, kernel_attention),
       {"exact-limit", "padding", "lengths", "prefix"},
       {"linearity", "row-sums"}},
      {mutant("12_sticky_full_attention", both,
              std::function<Body()>([] { return window_body(true); })),
       {"memoryless"},
       {"determinism", "causality"}},
      {mutant(
           "13a_dot_product_counts_padding", open,
           [](const Seen& s) { return divided_by_count(s, true); },
           [](const Seen& s) { return divided_by_count(s, false); }),
       {"padding", "lengths", "exact-limit"},
       {"batch", "linearity"}},
      {mutant(
           "13b_relu_of_query_and_key_alone", open,
           [](const Seen& s) { return added_scores(s, true); },
           [](const Seen& s) { return added_scores(s, false); }),
       {"exact-limit"},
       {"padding", "linearity"}},
      {mutant("lsh_chunks_used_causally", of_lsh(true), causal_chunks), {"causality"}},
  };
}

std::vector<nn::AttentionEntry> controls() {
  nn::Traits both = stochastic_rows(traits_of(true));
  std::vector<nn::AttentionEntry> list = {
      mutant("kernel", both, kernel_attention, kernel_attention),
      mutant("efficient", both, efficient_attention, efficient_attention),
      mutant("dot_product", traits_of(false),
             [](const Seen& s) { return divided_by_count(s, false); }),
      mutant("nystrom", traits_of(false), nystrom_body(NystromFlaw::none)),
      mutant("nystrom_with_convolution", traits_of(false),
             [](const Seen& s) { return nystrom_with_convolution(s, false); }),
      mutant(
          "lsh", of_lsh(true), [](const Seen& s) { return lsh_attention(s, LshFlaw::none); },
          lsh_explicit),
      mutant("topk", both, [](const Seen& s) { return topk_attention(s, TopkFlaw::none); }),
      mutant("window", both, std::function<Body()>([] { return window_body(false); })),
      mutant("concatenation", traits_of(false),
             [](const Seen& s) { return added_scores(s, false); }),
  };
  // Keys that no query reads (relu leaves some out too).
  for (size_t i = 5; i < list.size(); ++i) list[i].family = "sparse";
  return list;
}

CheckOutcome outcome(const nn::AttentionEntry& entry, const std::string& check) {
  nn::ConformanceReport report = nn::check_attention(entry, {.checks = {check}});
  REQUIRE(report.results.size() == 1);
  UNSCOPED_INFO(entry.name << ": " << to_string(report.results[0]));
  return report.results[0].outcome;
}

}  // namespace

TEST_CASE("attention mutants: every published defect is caught", "[mutants]") {
  for (const MutantRow& row : published_defects()) {
    for (const std::string& check : row.caught_by)
      CHECK(outcome(row.entry, check) == CheckOutcome::failed);
    for (const std::string& check : row.unseen_by)
      CHECK(outcome(row.entry, check) == CheckOutcome::passed);
  }
}

TEST_CASE("attention mutants: the right forms pass every check that catches a mutant",
          "[mutants]") {
  std::vector<std::string> checks;
  for (const MutantRow& row : published_defects())
    checks.insert(checks.end(), row.caught_by.begin(), row.caught_by.end());
  std::sort(checks.begin(), checks.end());
  checks.erase(std::unique(checks.begin(), checks.end()), checks.end());
  for (const nn::AttentionEntry& entry : controls())
    for (const std::string& check : checks) {
      // They declare no reach of their own.
      if ((check == "reach" || check == "nan") && entry.family == "sparse") continue;
      CHECK(outcome(entry, check) != CheckOutcome::failed);
    }
}
