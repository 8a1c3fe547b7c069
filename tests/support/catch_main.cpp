// The one main() of all test programs. An empty run is a failure, since a filter that matches
// nothing must not look like success. HEED_ALLOW_NO_TESTS=1 permits it (for the hidden tests,
// [.full]).
#define CATCH_CONFIG_RUNNER
#if __has_include(<catch2/catch_session.hpp>)
#include <catch2/catch_session.hpp>
#else
#include <catch2/catch.hpp>
#endif

#include <cstdlib>

int main(int argc, char** argv) {
  Catch::Session session;
  const int error = session.applyCommandLine(argc, argv);
  if (error != 0) return error;
  const bool allow_none = std::getenv("HEED_ALLOW_NO_TESTS") != nullptr;
#if defined(CATCH_VERSION_MAJOR) && CATCH_VERSION_MAJOR == 2
  if (!allow_none) session.configData().warnings = Catch::WarnAbout::NoTests;
#else
  session.configData().allowZeroTests = allow_none;
#endif
  return session.run();
}
