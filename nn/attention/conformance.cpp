#include <heed/nn/attention/conformance.h>

#include <algorithm>
#include <cstdio>

#include <heed/core/error.h>
#include <heed/nn/attention/conformance_case.h>

namespace heed::nn {

namespace {

struct CheckRow {
  const char* name;
  const char* proves;
  void (*run)(conformance::Case&);
};

// In the order they run: the most common mistakes come first.
const std::vector<CheckRow>& check_rows() {
  using namespace conformance;
  static const std::vector<CheckRow> rows = {
      {"causality", "no token, however adversarial, changes an earlier row or its gradients",
       check_causality},
      {"reach", "every key within the declared reach changes the row", check_reach},
      {"exact-limit", "at its exact limit the variant equals the reference, gradients too",
       check_exact_limit},
      {"prefix", "causal row i is the last row of the non-causal form on tokens 0 to i",
       check_prefix},
      {"offset", "an offset moves the queries among the keys, or is refused by name", check_offset},
      {"padding", "padding of any content, NaN too, changes nothing and gets gradient 0",
       check_padding},
      {"left-padding", "the same for padding before and around the tokens", check_left_padding},
      {"batch", "an item's result does not depend on the other items", check_batch},
      {"masked-rows", "a row without a visible key gives 0 and gradient 0", check_masked_rows},
      {"nan", "a NaN in a query, key or value shows in each row that depends on it", check_nan},
      {"decode", "parallel = chunked = step, for every split", check_decode},
      {"decode-state", "clone, select with repeats, save and load of what decoding keeps",
       check_decode_state},
      {"gradients", "first derivatives equal central differences (f64)", check_gradients},
      {"second-derivatives", "derivatives of gradients equal central differences (f64)",
       check_second_derivatives},
      {"linearity", "the output is linear in the values", check_linearity},
      {"row-sums", "values of 1 give 1, where rows are declared to be weights", check_row_sums},
      {"permutation", "the order of keys does not matter, where that is declared",
       check_permutation},
      {"weights", "weights() is the map that forward applies", check_weights},
      {"fused", "the fused kernel equals its composition, gradients too", check_reference},
      {"precision", "f32 equals f64, gradients too", check_precision},
      {"determinism", "the same call gives the same bits, backward too", check_determinism},
      {"memoryless", "a result does not depend on earlier calls", check_memoryless},
      {"save-load", "a loaded layer gives the same bits; forward changes nothing saved",
       check_save_load},
      {"dropout", "on average dropout changes nothing; dropout 1 gives 0", check_dropout},
      {"lengths", "every length and memory layout, against the same with two padded tokens",
       check_lengths},
      {"sizes", "odd widths and head counts work or are refused", check_sizes},
      {"empty", "no queries, no keys, no items: empty results and zeros", check_empty},
      {"grouped-heads", "grouped heads equal repeated key heads", check_grouped},
      {"pair-mask", "a pair that is hidden has no influence, however it is hidden",
       check_pair_mask},
      {"bias", "ALiBi and relative tables equal the same bias as a tensor", check_bias},
      {"refusals", "what the traits exclude is refused by name", check_refusals},
      {"flops", "contraction flops equal cost()", check_flops},
      {"activations", "bytes held for backward are within 5 % of cost()", check_activations},
      {"memory", "peak memory grows no faster than activation_bytes of cost()", check_memory},
  };
  return rows;
}

void run_check(const CheckRow& row, const AttentionEntry& entry, const std::string& options,
               const ConformanceOptions& settings, CheckResult& result) {
  result = {.check = row.name, .options = options, .dtype = settings.dtype};
  try {
    conformance::Case c(entry, options, settings.dtype, settings.seed, result);
    row.run(c);
    if (result.compared == 0) throw conformance::Failed{"nothing was compared"};
  } catch (const conformance::NotApplicable& skip) {
    result.outcome = CheckOutcome::not_applicable;
    result.detail = skip.reason;
  } catch (const conformance::Failed& failure) {
    result.outcome = CheckOutcome::failed;
    result.detail = failure.detail;
  } catch (const std::exception& error) {
    result.outcome = CheckOutcome::failed;
    result.detail = str("throws: ", error.what());
  }
}

// The user's own options: that they are wrong is to be said once, not by each check.
void require_buildable(const AttentionEntry& entry, const ConformanceOptions& settings) {
  CheckResult ignored;
  try {
    conformance::Case(entry, settings.options, settings.dtype, settings.seed, ignored);
  } catch (const conformance::Failed& failure) {
    throw ValueError(
        str("check_attention: ", entry.name, ":", settings.options, " ", failure.detail));
  }
}

std::string padded(std::string text, size_t width) {
  text.resize(std::max(width, text.size()), ' ');
  return text;
}

std::string short_number(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2g", x);
  return text;
}

}  // namespace

int64_t ConformanceReport::executed() const {
  return std::count_if(results.begin(), results.end(), [](const CheckResult& r) {
    return r.outcome != CheckOutcome::not_applicable;
  });
}

int64_t ConformanceReport::failed() const {
  return std::count_if(results.begin(), results.end(),
                       [](const CheckResult& r) { return r.outcome == CheckOutcome::failed; });
}

bool ConformanceReport::passed() const { return executed() > 0 && failed() == 0; }

std::vector<ConformanceCheck> conformance_checks() {
  std::vector<ConformanceCheck> list;
  for (const CheckRow& row : check_rows()) list.push_back({row.name, row.proves});
  return list;
}

ConformanceReport check_attention(const AttentionEntry& entry, const ConformanceOptions& options) {
  if (options.dtype != DType::f64 && options.dtype != DType::f32)
    throw DTypeError(str("check_attention: f64 or f32 expected, got ", options.dtype));
  std::string known;
  for (const CheckRow& row : check_rows()) known += str(known.empty() ? "" : ", ", row.name);
  for (const std::string& name : options.checks)
    if (std::none_of(check_rows().begin(), check_rows().end(),
                     [&](const CheckRow& row) { return row.name == name; }))
      throw ValueError(str("check_attention: unknown check '", name, "'; there are ", known));
  std::vector<std::string> settings{options.options};
  if (options.options.empty())
    settings.insert(settings.end(), entry.checked.begin(), entry.checked.end());
  else require_buildable(entry, options);
  ConformanceReport report{.variant = entry.name};
  for (const std::string& setting : settings)
    for (const CheckRow& row : check_rows()) {
      const auto& wanted = options.checks;
      if (!wanted.empty() && std::find(wanted.begin(), wanted.end(), row.name) == wanted.end())
        continue;
      run_check(row, entry, setting, options, report.results.emplace_back());
    }
  return report;
}

std::string to_string(const CheckResult& r) {
  const char* word = r.outcome == CheckOutcome::passed   ? "ok"
                     : r.outcome == CheckOutcome::failed ? "FAILED"
                                                         : "n/a";
  std::string line = padded(r.check, 19) + padded(to_string(r.dtype), 5) + padded(word, 8);
  if (r.compared > 0)
    line += padded(str(short_number(r.measured),
                       r.at_least ? " >= " : " <= ", short_number(r.bound), "  (", r.compared, ")"),
                   30);
  return line + r.detail;
}

std::string to_string(const ConformanceReport& report) {
  std::string text, options = "none yet";
  for (const CheckResult& r : report.results) {
    if (r.options != options) {
      options = r.options;
      text += str(report.variant, options.empty() ? "" : ":" + options, "\n");
    }
    text += "  " + to_string(r) + "\n";
  }
  return text +
         str(report.variant, ": ", report.executed(), " checks, ", report.failed(), " failed\n");
}

}  // namespace heed::nn
