#include <heed/data/draw.h>

#include <algorithm>

#include <heed/core/error.h>
#include <heed/data/draw_font.h>
#include <heed/data/utf8.h>

namespace heed::data {

int text_width(std::string_view text, int size) {
  int count = static_cast<int>(utf8_count(text));
  return count ? (6 * count - 1) * size : 0;
}

Canvas::Canvas(int width, int height, Color background) : width_(width), height_(height) {
  if (width < 1 || height < 1 || int64_t{width} * height > int64_t{1} << 26)
    throw ValueError(str("Canvas: 1 x 1 to 2^26 pixels expected, got ", width, " x ", height));
  pixels_.assign(static_cast<size_t>(width) * static_cast<size_t>(height), background);
}

Color Canvas::at(int x, int y) const {
  if (x < 0 || y < 0 || x >= width_ || y >= height_) return {};
  return pixels_[static_cast<size_t>(y) * static_cast<size_t>(width_) + static_cast<size_t>(x)];
}

void Canvas::fill(int x, int y, int width, int height, Color color) {
  int right = std::min(width_, x + width), bottom = std::min(height_, y + height);
  for (int row = std::max(0, y); row < bottom; ++row)
    for (int column = std::max(0, x); column < right; ++column)
      pixels_[static_cast<size_t>(row) * static_cast<size_t>(width_) +
              static_cast<size_t>(column)] = color;
}

void Canvas::frame(int x, int y, int width, int height, Color color) {
  fill(x, y, width, 1, color);
  fill(x, y + height - 1, width, 1, color);
  fill(x, y, 1, height, color);
  fill(x + width - 1, y, 1, height, color);
}

void Canvas::draw_text(std::string_view text, Color color, int size, int x, int y, bool up) {
  int column = 0;
  // (a, b): along and across the line, in dots of `size` pixels.
  auto dot = [&](int a, int b) {
    if (up) fill(x + b * size, y - (a + 1) * size + 1, size, size, color);
    else fill(x + a * size, y + b * size, size, size, color);
  };
  for (size_t i = 0; i < text.size(); column += 6) {
    Glyph g = glyph(utf8_next(text, i));
    bool tall = g.rows[0] != 0;
    for (int row = 0; row < 7; ++row)
      for (int bit = 0; bit < 5; ++bit)
        if (g.rows[row] & 0x10 >> bit) dot(column + bit, row + (g.below ? 2 : 0));
    if (g.dots)
      for (int bit : {1, 3}) dot(column + bit, tall ? -2 : 0);
  }
}

void Canvas::text(int x, int y, std::string_view text, Color color, int size) {
  draw_text(text, color, size, x, y, false);
}
void Canvas::text_up(int x, int y, std::string_view text, Color color, int size) {
  draw_text(text, color, size, x, y, true);
}

Array Canvas::image() const {
  Array out = Array::empty({height_, width_, 3}, DType::u8, kCpu);
  auto* to = out.data<uint8_t>();
  for (const Color& c : pixels_) {
    *to++ = c.r;
    *to++ = c.g;
    *to++ = c.b;
  }
  return out;
}

}  // namespace heed::data
