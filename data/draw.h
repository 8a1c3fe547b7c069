// A small canvas: rectangles and text in a bitmap font of 5 x 7, for pictures of what a model does.
//
//   Canvas canvas(200, 100);                       // white
//   canvas.fill(10, 10, 50, 20, {30, 90, 160});
//   canvas.text(10, 40, "Mädchen", {}, 2);         // black, twice the size
//   write_png("x.png", canvas.image());
//
// The font has ASCII, ß and the diaereses (ä Ö ...). Other accented Latin letters are drawn without
// accent, SentencePiece's mark (U+2581) as _, typographic quotes and dashes as plain ones,
// everything else as a box. What lies outside of the canvas is not drawn.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include <heed/core/array.h>

namespace heed::data {

struct Color {
  uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Color&) const = default;
};

// Pixels at size 1: a character is 5 wide and 7 high, 2 more reach below the line; one column
// between.
int text_width(std::string_view text, int size = 1);
inline constexpr int kTextHeight = 7, kTextDescent = 2;

class Canvas {
 public:
  // ValueError below 1 x 1 or above 2^26 pixels.
  Canvas(int width, int height, Color background = {255, 255, 255});
  int width() const { return width_; }
  int height() const { return height_; }
  Color at(int x, int y) const;  // black outside

  void fill(int x, int y, int width, int height, Color color);
  void frame(int x, int y, int width, int height, Color color);  // its border, one pixel wide
  // (x, y): upper left corner of the first character.
  void text(int x, int y, std::string_view text, Color color = {}, int size = 1);
  // Upwards: (x, y) is the lower left corner of the first character; it is kTextHeight * size wide.
  void text_up(int x, int y, std::string_view text, Color color = {}, int size = 1);

  Array image() const;  // u8 [H, W, 3], a copy

 private:
  void draw_text(std::string_view text, Color color, int size, int x, int y, bool up);
  int width_, height_;
  std::vector<Color> pixels_;
};

}  // namespace heed::data
