#include <heed/data/utf8.h>

#include <algorithm>
#include <iterator>

#include <heed/core/error.h>

namespace heed::data {

namespace {
// Decodes the sequence at i; returns its length, 0 when it is not valid.
int decode(std::string_view text, size_t i, char32_t* c) {
  auto byte = [&](size_t k) { return static_cast<unsigned char>(text[i + k]); };
  unsigned char first = byte(0);
  if (first < 0x80) return *c = first, 1;
  int length = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC2 ? 2 : 0;
  if (length == 0 || first > 0xF4 || text.size() - i < static_cast<size_t>(length)) return 0;
  char32_t value = first & (0x7F >> length);
  for (int k = 1; k < length; ++k) {
    if ((byte(k) & 0xC0) != 0x80) return 0;
    value = value << 6 | (byte(k) & 0x3F);
  }
  static constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[length] || value > 0x10FFFF || (value >= 0xD800 && value < 0xE000))
    return 0;
  *c = value;
  return length;
}
}  // namespace

size_t utf8_error(std::string_view text) {
  char32_t c;
  for (size_t i = 0; i < text.size();) {
    int length = decode(text, i, &c);
    if (length == 0) return i;
    i += static_cast<size_t>(length);
  }
  return std::string_view::npos;
}

size_t utf8_unfinished(std::string_view text) {
  for (size_t count = 1; count <= std::min<size_t>(3, text.size()); ++count) {
    // The smallest or the largest continuation bytes make it valid, or nothing does.
    std::string begun(text.substr(text.size() - count));
    for (const char* more : {"\x80\x80\x80", "\xBF\xBF\xBF"})
      for (size_t added = 1; added <= 3; ++added)
        if (utf8_count(begun + std::string(more, added)) == 1 &&
            utf8_error(begun + std::string(more, added)) == std::string_view::npos)
          return count;
  }
  return 0;
}

std::string utf8_mended(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) append_utf8(out, utf8_next(text, i));
  return out;
}

char32_t utf8_next(std::string_view text, size_t& i) {
  char32_t c = 0xFFFD;
  int length = decode(text, i, &c);
  i += length ? static_cast<size_t>(length) : 1;
  return c;
}

int64_t utf8_count(std::string_view text) {
  int64_t count = 0;
  for (size_t i = 0; i < text.size(); ++count) utf8_next(text, i);
  return count;
}

void append_utf8(std::string& out, char32_t c) {
  if (c > 0x10FFFF || (c >= 0xD800 && c < 0xE000))
    throw ValueError(str("append_utf8: ", uint32_t{c}, " is not a Unicode scalar value"));
  auto put = [&](char32_t bits) { out.push_back(static_cast<char>(bits)); };
  if (c < 0x80) return put(c);
  if (c < 0x800) {
    put(0xC0 | c >> 6);
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
  }
  put(0x80 | (c & 0x3F));
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

std::vector<std::string_view> split_words(std::string_view text) {
  std::vector<std::string_view> words;
  size_t begin = 0, i = 0;
  while (i < text.size()) {
    size_t at = i;
    if (!is_space(utf8_next(text, i))) continue;
    if (at > begin) words.push_back(text.substr(begin, at - begin));
    begin = i;
  }
  if (begin < text.size()) words.push_back(text.substr(begin));
  return words;
}

bool is_invisible(char32_t c) {
  if (is_space(c) || c < 0x20 || (c >= 0x7F && c < 0xA0)) return true;
  struct Range {
    char32_t first, last;
  };
  static constexpr Range kFormat[] = {// general category Cf, Unicode 15
                                      {0xAD, 0xAD},       {0x600, 0x605},     {0x61C, 0x61C},
                                      {0x6DD, 0x6DD},     {0x70F, 0x70F},     {0x890, 0x891},
                                      {0x8E2, 0x8E2},     {0x180E, 0x180E},   {0x200B, 0x200F},
                                      {0x202A, 0x202E},   {0x2060, 0x2064},   {0x2066, 0x206F},
                                      {0xFEFF, 0xFEFF},   {0xFFF9, 0xFFFB},   {0x110BD, 0x110BD},
                                      {0x110CD, 0x110CD}, {0x13430, 0x1343F}, {0x1BCA0, 0x1BCA3},
                                      {0x1D173, 0x1D17A}, {0xE0001, 0xE0001}, {0xE0020, 0xE007F}};
  return std::any_of(std::begin(kFormat), std::end(kFormat),
                     [&](const Range& r) { return c >= r.first && c <= r.last; });
}

bool is_blank(std::string_view text) {
  for (size_t i = 0; i < text.size();)
    if (!is_invisible(utf8_next(text, i))) return false;
  return true;
}

}  // namespace heed::data
