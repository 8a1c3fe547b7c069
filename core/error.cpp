#include <heed/core/error.h>

#include <charconv>

namespace heed::detail {

void append(std::string& out, std::string_view text) { out.append(text); }

template <class T>
static void append_chars(std::string& out, T number) {
  char buffer[40];
  auto end = std::to_chars(buffer, buffer + sizeof buffer, number).ptr;
  out.append(buffer, end);
}

void append(std::string& out, double number) { append_chars(out, number); }
void append(std::string& out, int64_t number) { append_chars(out, number); }
void append(std::string& out, uint64_t number) { append_chars(out, number); }

}  // namespace heed::detail
