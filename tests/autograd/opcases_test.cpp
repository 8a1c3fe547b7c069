// Runs every OpCase, and sees to it that every public op has one.
#include <filesystem>
#include <fstream>
#include <regex>
#include <set>

#include <heed/tests/support/catch.h>
#include <heed/tests/support/opcase.h>

using namespace heed;
using namespace heed::test;

static void run(const std::vector<OpCase>& cases) {
  REQUIRE(!cases.empty());
  for (const OpCase& c : cases) {
    INFO(c.op << " " << c.label);
    Report report;
    try {
      report = check(c);
    } catch (const std::exception& error) {
      FAIL_CHECK("threw: " << error.what());
      continue;
    }
    CHECK(report.checks > 0);
    for (size_t i = 0; i < report.failures.size() && i < 5; ++i) FAIL_CHECK(report.failures[i]);
    if (report.failures.size() > 5) FAIL_CHECK("and " << report.failures.size() - 5 << " more");
  }
}

TEST_CASE("op cases: unary", "[opcase]") { run(unary_cases()); }
TEST_CASE("op cases: binary", "[opcase]") { run(binary_cases()); }
TEST_CASE("op cases: views", "[opcase]") { run(view_cases()); }
TEST_CASE("op cases: reduce", "[opcase]") { run(reduce_cases()); }
TEST_CASE("op cases: index", "[opcase]") { run(index_cases()); }
TEST_CASE("op cases: matmul", "[opcase]") { run(matmul_cases()); }
TEST_CASE("op cases: softmax", "[opcase]") { run(softmax_cases()); }
TEST_CASE("op cases: norm", "[opcase]") { run(norm_cases()); }
TEST_CASE("op cases: image norm", "[opcase]") { run(image_norm_cases()); }
TEST_CASE("op cases: dropout", "[opcase]") { run(dropout_cases()); }
TEST_CASE("op cases: losses", "[opcase]") { run(loss_cases()); }
TEST_CASE("op cases: attention", "[opcase]") { run(attention_cases()); }
TEST_CASE("op cases: optimizer", "[opcase]") { run(optimizer_cases()); }
TEST_CASE("op cases: factorizations", "[opcase]") { run(decompose_cases()); }
TEST_CASE("op cases: convolutions", "[opcase]") { run(conv_cases()); }
TEST_CASE("op cases: pooling", "[opcase]") { run(pool_cases()); }

// What stands above #pragma once.
static std::string purpose_of(const std::filesystem::path& header) {
  std::ifstream file(header);
  std::string text;
  for (std::string line; std::getline(file, line) && line != "#pragma once";) text += line + "\n";
  return text;
}

// Functions declared at the start of a line in autograd/ops/*.h that take or return tensors.
// Headers that say "Not for users" declare no ops, nor does range_flag.h.
static std::set<std::string> declared_ops() {
  std::set<std::string> names;
  std::regex declaration(
      R"(^(?:inline )?(?:Tensor|Selected|QR|SVD|LogitFactors|AttentionParts|BatchNormOutput|)"
      R"(std::vector<Tensor>|void|int64_t) (\w+)\()");
  int headers = 0;
  for (const auto& entry : std::filesystem::directory_iterator(HEED_SOURCE_DIR "/autograd/ops")) {
    if (entry.path().extension() != ".h" || entry.path().stem() == "range_flag" ||
        purpose_of(entry.path()).find("Not for users") != std::string::npos)
      continue;
    ++headers;
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) {
      std::smatch found;
      if (!std::regex_search(line, found, declaration)) continue;
      if (!found[1].str().ends_with("_vjp")) names.insert(found[1]);  // what ops share
    }
  }
  REQUIRE(headers >= 10);
  return names;
}

TEST_CASE("every public op has an OpCase", "[opcase]") {
  std::set<std::string> covered;
  for (const OpCase& c : all_cases()) {
    covered.insert(c.op);
    if (c.reference) covered.insert(c.op + "_reference");
  }
  std::set<std::string> declared = declared_ops();
  REQUIRE(declared.size() > 80);
  REQUIRE(declared.count("softmax") == 1);
  for (const std::string& name : declared) {
    if (name == "operator") continue;
    INFO(name);
    CHECK(covered.count(name) == 1);
  }
  for (const std::string& name : covered) {
    if (name.size() > 10 && name.substr(name.size() - 10) == "_reference") continue;
    INFO(name);
    CHECK(declared.count(name) == 1);
  }
}

TEST_CASE("an OpCase fails where its op is wrong", "[opcase]") {
  OpCase c = unary_cases()[1];  // exp
  REQUIRE(c.op == "exp");
  c.shapes.resize(6);
  CHECK(check(c).failures.empty());
  c.naive = pointwise([](const std::vector<double>& x) { return std::exp(x[0]) * (1 + 1e-5); });
  CHECK_FALSE(check(c).failures.empty());
  c = unary_cases()[1];
  c.shapes = {{{100}}};  // too large for differences
  CHECK_FALSE(check(c).failures.empty());
}
