// Proves attention variants against what they declare: one line a check, in f64 and f32.
//   attention_check dense linear        # these
//   attention_check gaussian:form=naive # with these options alone
//   attention_check all                 # the whole catalogue
//   attention_check dense --checks causality,padding
// Exit code 1 if a check fails.
#include <cstdio>
#include <string>
#include <vector>

#include <heed/nn/attention/conformance.h>

#include "common/program.h"

using namespace heed;

namespace {

std::vector<std::string> parts_of(const std::string& text) {
  std::vector<std::string> parts;
  std::istringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');)
    if (!part.empty()) parts.push_back(part);
  return parts;
}

std::string usage() {
  std::string text = "attention_check NAME[:key=value,..]...|all [--checks CHECK,..]\nvariants:";
  for (const nn::AttentionEntry& entry : nn::attention_catalog()) text += " " + entry.name;
  text += "\nchecks:\n";
  for (const nn::ConformanceCheck& check : nn::conformance_checks())
    text += "  " + check.name + std::string(19 - std::min<size_t>(18, check.name.size()), ' ') +
            check.proves + "\n";
  return text;
}

struct Variant {
  const nn::AttentionEntry* entry;
  std::string options;  // empty: the defaults and those that the entry names
};

Variant variant_of(const std::string& spec) {
  nn::AttentionSpec parsed = nn::parse_spec(spec);
  return {&nn::find_attention(parsed.name), parsed.options.to_string()};
}

int check_all(const std::vector<Variant>& variants, const std::vector<std::string>& checks) {
  int64_t executed = 0, failed = 0;
  for (const auto& [entry, options] : variants)
    for (DType dtype : {DType::f64, DType::f32}) {
      nn::ConformanceReport report = nn::check_attention(*entry, {dtype, 1, checks, options});
      std::printf("%s\n", to_string(report).c_str());
      std::fflush(stdout);
      executed += report.executed();
      failed += report.failed();
    }
  std::printf("%s, %s, %lld failed (instruction set %s)\n",
              examples::counted(static_cast<int64_t>(variants.size()), "variant").c_str(),
              examples::counted(executed, "check").c_str(), static_cast<long long>(failed),
              examples::config_value("instruction set").c_str());
  return failed == 0 && executed > 0 ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  return examples::run_program("attention_check", [&] {
    std::vector<Variant> variants;
    std::vector<std::string> checks, words(argv + 1, argv + argc);
    for (size_t i = 0; i < words.size(); ++i) {
      if (words[i] == "--help" || words[i] == "-h") {
        std::printf("%s", usage().c_str());
        return 0;
      }
      if (words[i] == "--checks") {
        if (++i == words.size())
          throw ValueError("--checks needs a list: --checks causality,padding");
        checks = parts_of(words[i]);
      } else if (words[i].starts_with("-")) {
        throw ValueError("unknown option '" + words[i] + "' (attention_check --help)");
      } else if (words[i] == "all") {
        for (const nn::AttentionEntry& entry : nn::attention_catalog())
          variants.push_back({&entry, ""});
      } else {
        variants.push_back(variant_of(words[i]));
      }
    }
    if (variants.empty())
      throw ValueError("which variants? NAME[:key=value,..]... or all (attention_check --help)");
    return check_all(variants, checks);
  });
}
