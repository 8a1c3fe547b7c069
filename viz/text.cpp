// Text in pictures: what it may contain, and the room that it needs.
#include <string>

#include <heed/data/utf8.h>
#include <heed/viz/svg.h>

namespace heed::viz {

namespace {
// XML has no way to write most control characters and U+FFFE, U+FFFF.
char32_t shown(char32_t c) {
  if (c < 0x20) return 0x2400 + c;  // the symbol of that control character
  if (c == 0x7F) return 0x2421;
  if ((c >= 0x80 && c < 0xA0) || c == 0xFFFE || c == 0xFFFF) return 0xFFFD;
  return c;
}

// In units of the font's size. Fonts differ so much that a narrow letter gets twice the room that
// it needs in most of them.
double room(char32_t c) {
  if (c >= 0x1F000) return 1.4;  // emoji
  if (c >= 0x1100) return 1.05;  // East Asian and symbols
  if (c >= 0x80 || (c >= 'A' && c <= 'Z')) return c == 'M' || c == 'W' ? 1.05 : 0.85;
  return c == 'm' || c == 'w' || c == '@' || c == '%' ? 1.05 : 0.68;
}
}  // namespace

std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) data::append_utf8(out, shown(data::utf8_next(text, i)));
  return out;
}

std::string escape_xml(std::string_view text) {
  std::string out;
  for (char c : printable(text)) switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&#39;"; break;
      default: out += c;
    }
  return out;
}

double text_room(std::string_view text, double size) {
  double sum = 0;
  for (size_t i = 0; i < text.size();) sum += room(data::utf8_next(text, i));
  return sum * size;
}

std::string shortened(std::string_view text, int64_t most) {
  if (data::utf8_count(text) <= most) return std::string(text);
  size_t i = 0;
  for (int64_t n = 1; n < most; ++n) data::utf8_next(text, i);
  return std::string(text.substr(0, i)) + "…";
}

}  // namespace heed::viz
