#include <heed/core/config.h>

#include <string>

#include <heed/core/error.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/variable.h>

using namespace heed;
using heed::test::Variable;

TEST_CASE("a bad environment variable is an error that names it and what is allowed") {
  for (auto [name, value, allowed] : {std::tuple{"HEED_THREADS", "many", "integer from 1 to 1024"},
                                      {"HEED_THREADS", "0", "integer from 1 to 1024"},
                                      {"HEED_DEVICE", "gpu", "cpu, cuda"},
                                      {"HEED_DEVICE", "cuda", "no CUDA kernels: cpu expected"},
                                      {"HEED_LOG", "loud", "quiet, info, debug"},
                                      {"HEED_BLAS_SETUP", "yes", "0, 1"},
                                      {"HEED_ISA", "avx1024", "baseline, avx2, avx512"}}) {
    Variable bad(name, value);
    REQUIRE_THROWS_SAYING(check_environment(), ValueError, allowed);
    REQUIRE_THROWS_SAYING(check_environment(), ValueError, name);
  }
}

TEST_CASE("log goes to the handler, as far as HEED_LOG says") {
  static std::string seen;
  set_log_handler([](LogLevel, std::string_view message) { seen = message; });
  {
    Variable level("HEED_LOG", "info");
    log(LogLevel::info, "hello");
    log(LogLevel::debug, "details");
  }
  {
    Variable level("HEED_LOG", "quiet");
    log(LogLevel::info, "again");
  }
  set_log_handler(nullptr);
  REQUIRE(seen == "hello");
}

TEST_CASE("config lists what is in use, whether used before or not") {
  std::string text = config();
  for (const char* line : {"device = cpu\n", "instruction set = ", "blas core = ", "threads = "})
    REQUIRE_THAT(text, heed::test::ContainsSubstring(line));
}

TEST_CASE("str joins text, numbers and names") {
  REQUIRE(str("a ", 1, ' ', -2.5, " ", true, ' ', uint8_t{7}, std::string(" z")) ==
          "a 1 -2.5 true 7 z");
}
