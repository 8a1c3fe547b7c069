// Catch2, version 2 or 3: the only file that knows which. Tests include this one, never
// <catch2/...>.
#pragma once

#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_approx.hpp>
#include <catch2/catch_message.hpp>
#include <catch2/catch_template_test_macros.hpp>
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators_all.hpp>
#include <catch2/matchers/catch_matchers_all.hpp>
namespace heed::test {
using Catch::Approx;
using Catch::Matchers::ContainsSubstring;
}  // namespace heed::test
#else
#include <catch2/catch.hpp>
namespace heed::test {
using Catch::Detail::Approx;
inline auto ContainsSubstring(const std::string& part) { return Catch::Matchers::Contains(part); }
}  // namespace heed::test
#endif

namespace heed::test {
using Catch::Matchers::EndsWith;
using Catch::Matchers::Message;  // of an exception, for REQUIRE_THROWS_MATCHES
using Catch::Matchers::StartsWith;
using Catch::Matchers::WithinAbs;
using Catch::Matchers::WithinRel;
}  // namespace heed::test

// The expression throws `type`, and what() contains `part`.
#define REQUIRE_THROWS_SAYING(expression, type, part)                                 \
  do {                                                                                \
    try {                                                                             \
      static_cast<void>(expression);                                                  \
      FAIL("nothing thrown by: " #expression);                                        \
    } catch (const type& error) {                                                     \
      REQUIRE_THAT(std::string(error.what()), ::heed::test::ContainsSubstring(part)); \
    }                                                                                 \
  } while (false)
