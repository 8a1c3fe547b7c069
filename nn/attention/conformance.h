// The conformance kit: tests an attention variant against its own declarations. Traits, exact
// limit, reach and cost state what a variant claims; each check fails where a claim is wrong. It
// runs on any catalogue entry, the user's own included, and needs no test framework.
//
//   ConformanceReport report = check_attention(find_attention("dense"));
//   std::puts(to_string(report).c_str());   // one line per check
//   bool good = report.passed();
//
// An entry is checked with its default options and with each string of `entry.checked`, chosen so
// small that a dozen tokens exercise it. Errors: ValueError for a check's name that does not exist,
// and for `options` with which the variant cannot be built on so few tokens.
// What each check proves: docs/conformance.md.
#pragma once

#include <string>
#include <vector>

#include <heed/core/dtype.h>
#include <heed/nn/attention/catalog.h>

namespace heed::nn {

struct ConformanceOptions {
  DType dtype = DType::f64;           // f64 or f32
  uint64_t seed = 1;                  // of inputs and parameters
  std::vector<std::string> checks{};  // names; empty: all
  // "key=value,..": only with these options, instead of the defaults and all of entry.checked.
  std::string options{};
};

enum class CheckOutcome { passed, failed, not_applicable };

struct CheckResult {
  std::string check;
  std::string options;  // the option string it ran with; empty: the defaults
  DType dtype = DType::f64;
  CheckOutcome outcome = CheckOutcome::passed;
  // The comparison that came closest to its bound. An error is a relative RMS (bound 0: equal to
  // the bit). If `at_least`, `measured` must not fall below the bound.
  double measured = 0, bound = 0;
  bool at_least = false;
  int64_t compared = 0;  // comparisons made
  std::string detail{};  // failed: where and how; not applicable: the trait that says so
};

struct ConformanceReport {
  std::string variant;
  std::vector<CheckResult> results{};
  int64_t executed() const;  // passed or failed
  int64_t failed() const;
  bool passed() const;  // something was executed and nothing failed
};

// As a table, one line per check.
std::string to_string(const ConformanceReport& report);
std::string to_string(const CheckResult& result);

ConformanceReport check_attention(const AttentionEntry& entry,
                                  const ConformanceOptions& options = {});

struct ConformanceCheck {
  std::string name;
  std::string proves;  // one line
};
std::vector<ConformanceCheck> conformance_checks();  // in the order they run

}  // namespace heed::nn
