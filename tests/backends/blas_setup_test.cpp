#include <cstdlib>
#include <string>

#include <heed/backends/cpu/blas.h>
#include <heed/tests/support/catch.h>

using namespace heed;

namespace {
std::string fake_core;
int restarts = 0;

// The name of the kernels in use afterwards.
std::string mended(const std::string& core, IsaLevel possible) {
  fake_core = core;
  restarts = 0;
  blas::mend_core([] { return fake_core; },
                  [](const char* name) {
                    fake_core = name;
                    ++restarts;
                  },
                  possible);
  REQUIRE(restarts == (fake_core == core ? 0 : 1));
  return fake_core;
}

struct CoreTypeUnset {  // for one test
  CoreTypeUnset() : before(std::getenv("OPENBLAS_CORETYPE")) {
    if (before) kept = before;
    unsetenv("OPENBLAS_CORETYPE");
  }
  ~CoreTypeUnset() {
    if (before) setenv("OPENBLAS_CORETYPE", kept.c_str(), 1);
    else unsetenv("OPENBLAS_CORETYPE");
  }
  const char* before;
  std::string kept;
};
}  // namespace

TEST_CASE("OpenBLAS's kernels: better ones where known ones are below the processor") {
  CoreTypeUnset guard;
  CHECK(mended("Prescott", IsaLevel::avx512) == "SkylakeX");
  CHECK(mended("Prescott", IsaLevel::avx2) == "Haswell");
  CHECK(mended("Prescott", IsaLevel::baseline) == "Prescott");
  CHECK(mended("Sandybridge", IsaLevel::avx2) == "Haswell");
  CHECK(mended("Zen", IsaLevel::avx512) == "SkylakeX");
  CHECK(mended("Zen", IsaLevel::avx2) == "Zen");
  CHECK(mended("Cooperlake", IsaLevel::avx512) == "Cooperlake");
  CHECK(mended("SkylakeX", IsaLevel::avx2) == "SkylakeX");
}

TEST_CASE("OpenBLAS's kernels: a core that heed does not know is left alone") {
  CoreTypeUnset guard;
  for (const char* core : {"Zen7", "GraniteRapids", "Unknown", ""})
    CHECK(mended(core, IsaLevel::avx512) == core);
}

TEST_CASE("OpenBLAS's kernels: the user's choice stays") {
  CoreTypeUnset guard;
  setenv("OPENBLAS_CORETYPE", "Prescott", 1);
  CHECK(mended("Prescott", IsaLevel::avx512) == "Prescott");
  setenv("OPENBLAS_CORETYPE", "", 1);
  CHECK(mended("Prescott", IsaLevel::avx2) == "Haswell");
}
