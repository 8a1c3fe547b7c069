// UTF-8 (RFC 3629): no overlong forms, no surrogates, nothing above U+10FFFF.
//
//   if (size_t at = utf8_error(text); at != std::string_view::npos) ...   // first bad byte
//   for (size_t i = 0; i < text.size();) { char32_t c = utf8_next(text, i); ... }
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace heed::data {

// Byte offset of the first sequence that is not valid, npos when all of it is.
size_t utf8_error(std::string_view text);
// Bytes at the end that are the beginning of a sequence, 0 to 3.
size_t utf8_unfinished(std::string_view text);
// Each byte of a bad sequence replaced by U+FFFD.
std::string utf8_mended(std::string_view text);
// The code point at byte i; moves i behind it. Never reads past the end: a bad sequence gives
// U+FFFD and moves by one byte.
char32_t utf8_next(std::string_view text, size_t& i);
// Code points; each byte of a bad sequence counts as one.
int64_t utf8_count(std::string_view text);
// ValueError for surrogates and beyond U+10FFFF.
void append_utf8(std::string& out, char32_t c);

// What Unicode calls white space (and Python's str.split() separates at): blanks, tabs, line ends,
// U+001C..1F, U+0085, U+00A0, U+1680, U+2000..200A, U+2028, U+2029, U+202F, U+205F, U+3000.
bool is_space(char32_t c);
// The words between white space, as views into `text`.
std::vector<std::string_view> split_words(std::string_view text);
// What counts as invisible: white space, control (Cc) and format characters (Cf), such as the soft
// hyphen U+00AD, the zero-width space U+200B and the byte order mark U+FEFF.
bool is_invisible(char32_t c);
bool is_blank(std::string_view text);  // empty, or invisible characters only

}  // namespace heed::data
