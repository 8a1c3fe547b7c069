// What all programs share: an error is one line on stderr and exit code 1.
#pragma once

#include <cstdint>
#include <cstdio>
#include <exception>
#include <new>
#include <sstream>
#include <string>
#include <string_view>

#include <heed/core/config.h>

namespace heed::examples {

// Line ends and the indentation behind them become "; ", or a space after a colon, so that a
// message with a list in it is still one line.
inline std::string one_line(const std::string& text) {
  std::string out;
  bool line_begins = true;
  for (char c : text) {
    if (c == '\n' || c == '\r') {
      line_begins = true;
    } else if (c != ' ' || !line_begins) {
      if (line_begins && !out.empty()) out += out.ends_with(':') ? " " : "; ";
      line_begins = false;
      out += c;
    }
  }
  return out;
}

// A name of a file or a class for the terminal: control characters, which could move the cursor or
// hide what follows, become U+FFFD.
inline std::string printable(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    bool second_set = byte == 0xC2 && i + 1 < text.size() &&  // U+0080 to U+009F
                      static_cast<unsigned char>(text[i + 1]) < 0xA0;
    bool control = byte < 0x20 || byte == 0x7F || second_set;
    out += control ? "\xEF\xBF\xBD" : std::string(1, text[i]);
    if (second_set) ++i;
  }
  return out;
}

inline int fail(const char* program, const std::string& message) {
  std::fflush(stdout);
  std::fprintf(stderr, "%s: %s\n", program, one_line(message).c_str());
  return 1;
}

// "1 thread", "2 threads", "2 batches".
inline std::string counted(int64_t count, const std::string& one, const std::string& many = "") {
  return std::to_string(count) + " " + (count == 1 ? one : many.empty() ? one + "s" : many);
}

// int body(): the program. Returns its exit code.
template <class Body>
int run_program(const char* program, Body&& body) {
  try {
    check_environment();
    int code = body();
    if (code == 0 && (std::fflush(stdout) != 0 || std::ferror(stdout)))
      return fail(program, "stdout: cannot be written");
    return code;
  } catch (const std::bad_alloc&) {
    return fail(program, "out of memory");
  } catch (const std::exception& error) {
    return fail(program, error.what());
  }
}

// The value of one line of heed::config(), such as "instruction set".
inline std::string config_value(std::string_view key) {
  std::istringstream lines(config());
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with(key) && line.substr(key.size(), 3) == " = ")
      return line.substr(key.size() + 3);
  return "";
}

}  // namespace heed::examples
