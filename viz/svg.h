// A picture made of shapes and text: SVG without scripts, which browsers show and programs such
// as rsvg-convert turn into PDF.
//
//   Svg svg(200, 100, "a greeting");
//   svg.rect(10, 10, 50, 20, {30, 90, 160});
//   svg.text(35, 50, "Mädchen, 猫", {.size = 14, .anchor = Anchor::middle});
//   svg.save("x.svg");
//
// Coordinates are in units of one CSS pixel, x to the right, y down. How wide a text comes out
// depends on the fonts of whoever looks at it, so nothing may be placed behind a text by its width:
// anchor texts, and leave text_room() where they end.
//
// Text is UTF-8 of any script. Control characters are shown as their symbols (␊ for a line feed),
// bytes that are no UTF-8 as U+FFFD. ValueError: numbers that are not finite, sizes below 0.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <heed/core/array.h>

namespace heed::viz {

struct Color {
  uint8_t r = 0, g = 0, b = 0;
  bool operator==(const Color&) const = default;
};
std::string to_string(Color color);  // "#1e5aa0"

inline constexpr double kLargest = 65535;               // units on a side of a picture
inline constexpr double kMargin = 16, kTitleSize = 14;  // of charts and maps
inline constexpr Color kInk{40, 44, 52}, kFaint{110, 116, 126}, kRule{205, 209, 214};

enum class Anchor { start, middle, end };  // which point of the text lies at x

struct TextStyle {
  double size = 12;  // height of the font
  Color color = kInk;
  Anchor anchor = Anchor::start;
  bool upwards = false;  // rotated by 90 degrees, to be read from below
};

class Svg {
 public:
  // White, 1 to kLargest on a side. The title is what a screen reader says instead of the picture.
  Svg(double width, double height, std::string_view title);
  double width() const { return width_; }
  double height() const { return height_; }

  void rect(double x, double y, double width, double height, Color fill);
  void frame(double x, double y, double width, double height, Color stroke);  // 1 wide, around it
  void line(double x1, double y1, double x2, double y2, Color color, double width = 1);
  void polyline(std::span<const std::pair<double, double>> points, Color color, double width = 2);
  void circle(double x, double y, double radius, Color fill);
  // (x, y): the anchor on the middle line of the letters, so that a text stands level with what has
  // its centre there.
  void text(double x, double y, std::string_view text, const TextStyle& style = {});
  // u8 [H, W] or [H, W, 3]: embedded as PNG, one sharp rectangle a pixel.
  void image(double x, double y, double width, double height, const Array& pixels);
  // Cells [H, W] of a grid, u8 [H, W, 3], one rectangle for neighbours of one colour.
  void cells(double x, double y, double width, double height, const Array& colors);
  // What `draw` adds is moved by (x, y); the title describes it.
  void group(double x, double y, std::string_view title, const std::function<void()>& draw);

  std::string str() const;                   // the document
  void save(const std::string& path) const;  // IoError

 private:
  double width_, height_;
  std::string body_;
};

// More than the width of a text in any usual font.
double text_room(std::string_view text, double size);
// At most `most` characters, with an ellipsis where something is left out.
std::string shortened(std::string_view text, int64_t most);
// With the replacements for control characters and bad bytes that pictures make.
std::string printable(std::string_view text);
// printable(), and & < > " ' as entities: for text and attributes of XML and HTML.
std::string escape_xml(std::string_view text);

}  // namespace heed::viz
