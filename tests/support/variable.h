// An environment variable for one test; afterwards it is what it was.
#pragma once

#include <cstdlib>
#include <optional>
#include <string>

namespace heed::test {

struct Variable {
  Variable(const char* n, const char* value) : name(n) {
    if (const char* given = std::getenv(n)) before = given;
    setenv(n, value, 1);
  }
  ~Variable() {
    if (before) setenv(name, before->c_str(), 1);
    else unsetenv(name);
  }
  const char* name;
  std::optional<std::string> before{};
};

}  // namespace heed::test
