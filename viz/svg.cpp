#include <heed/viz/svg.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include <fmt/format.h>

#include <heed/core/error.h>
#include <heed/data/images.h>
#include <heed/data/write_file.h>
#include <heed/viz/base64.h>

namespace heed::viz {

namespace {
// At most two digits behind the point: a hundredth of a pixel.
std::string number(double x) {
  if (!std::isfinite(x)) throw ValueError(heed::str("Svg: finite numbers expected, got ", x));
  std::string text = fmt::format("{:.2f}", x);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

// x="1" and so on; a size may not be negative.
std::string place(double x, double y) {
  return fmt::format(" x=\"{}\" y=\"{}\"", number(x), number(y));
}
std::string extent(double width, double height) {
  if (width < 0 || height < 0)
    throw ValueError(heed::str("Svg: sizes of at least 0 expected, got ", width, " x ", height));
  return fmt::format(" width=\"{}\" height=\"{}\"", number(width), number(height));
}

// Each pixel as a square of several: programs that smooth images whatever they are told (librsvg
// is one) then blur only the seams.
Array enlarged(const Array& pixels) {
  constexpr int64_t kSide = 2048, kMostTimes = 16;
  if (!pixels.defined() || pixels.dtype() != DType::u8 || pixels.numel() == 0 ||
      (pixels.rank() != 2 && pixels.rank() != 3))
    return pixels;  // encode_png says what is wrong
  int64_t times = std::min(kMostTimes, kSide / std::max(pixels.dim(0), pixels.dim(1)));
  if (times < 2) return pixels;
  Array from = pixels.rank() == 3 ? pixels : pixels.unsqueeze(2);  // [H, W, C]
  int64_t height = times * from.dim(0), width = times * from.dim(1), channels = from.dim(2);
  Array out = Array::empty({height, width, channels}, DType::u8, kCpu);
  auto* to = out.data<uint8_t>();
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c)
        *to++ = from.data<uint8_t>()[y / times * from.strides()[0] + x / times * from.strides()[1] +
                                     c * from.strides()[2]];
  return pixels.rank() == 3 ? out : out.squeeze(2);
}
}  // namespace

std::string to_string(Color c) { return fmt::format("#{:02x}{:02x}{:02x}", c.r, c.g, c.b); }

Svg::Svg(double width, double height, std::string_view title) : width_(width), height_(height) {
  if (!(width >= 1 && width <= kLargest && height >= 1 && height <= kLargest))
    throw ValueError(
        heed::str("Svg: 1 to ", kLargest, " units on a side expected, got ", width, " x ", height));
  body_ = fmt::format("<title>{}</title>\n", escape_xml(title));
  rect(0, 0, width, height, {255, 255, 255});
}

void Svg::rect(double x, double y, double width, double height, Color fill) {
  body_ +=
      fmt::format("<rect{}{} fill=\"{}\"/>\n", place(x, y), extent(width, height), to_string(fill));
}

void Svg::frame(double x, double y, double width, double height, Color stroke) {
  body_ += fmt::format("<rect{}{} fill=\"none\" stroke=\"{}\"/>\n", place(x - 0.5, y - 0.5),
                       extent(width + 1, height + 1), to_string(stroke));
}

void Svg::line(double x1, double y1, double x2, double y2, Color color, double width) {
  body_ += fmt::format(
      "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"{}\"/>\n",
      number(x1), number(y1), number(x2), number(y2), to_string(color), number(width));
}

void Svg::polyline(std::span<const std::pair<double, double>> points, Color color, double width) {
  std::string list;
  for (auto [x, y] : points) list += fmt::format("{} {} ", number(x), number(y));
  if (!list.empty()) list.pop_back();
  body_ += fmt::format(
      "<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"{}\" "
      "stroke-linejoin=\"round\"/>\n",
      list, to_string(color), number(width));
}

void Svg::circle(double x, double y, double radius, Color fill) {
  if (radius < 0) throw ValueError(heed::str("Svg: a radius of at least 0 expected, got ", radius));
  body_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\"/>\n", number(x), number(y),
                       number(radius), to_string(fill));
}

void Svg::text(double x, double y, std::string_view text, const TextStyle& style) {
  // The baseline lies a third of the size below the middle. (dominant-baseline would say the same,
  // but not every program knows it.)
  double below = 0.35 * style.size;
  (style.upwards ? x : y) += below;
  constexpr const char* kAnchors[] = {"", " text-anchor=\"middle\"", " text-anchor=\"end\""};
  std::string turn =
      style.upwards ? fmt::format(" transform=\"rotate(-90 {} {})\"", number(x), number(y)) : "";
  body_ += fmt::format("<text{} font-size=\"{}\" fill=\"{}\"{}{}>{}</text>\n", place(x, y),
                       number(style.size), to_string(style.color),
                       kAnchors[static_cast<int>(style.anchor)], turn, escape_xml(text));
}

void Svg::image(double x, double y, double width, double height, const Array& pixels) {
  body_ += fmt::format(
      "<image{}{} preserveAspectRatio=\"none\" style=\"image-rendering:pixelated\" "
      "href=\"data:image/png;base64,{}\"/>\n",
      place(x, y), extent(width, height), base64(data::encode_png(enlarged(pixels))));
}

// A path for each colour: shorter than an element for each cell. A thin stroke lets neighbours
// overlap, since programs that smooth edges would show the background between them.
void Svg::cells(double x, double y, double width, double height, const Array& colors) {
  if (!colors.defined() || colors.dtype() != DType::u8 || colors.rank() != 3 ||
      colors.dim(2) != 3 || colors.numel() == 0)
    throw ShapeError("Svg::cells: colours u8 [H, W, 3] with H, W >= 1 expected");
  auto color = [&](int64_t row, int64_t column) {
    const auto& s = colors.strides();
    const uint8_t* at = colors.data<uint8_t>() + row * s[0] + column * s[1];
    return Color{at[0], at[s[2]], at[2 * s[2]]};
  };
  int64_t rows = colors.dim(0), columns = colors.dim(1);
  std::map<std::string, std::string> paths;
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t begin = 0, end; begin < columns; begin = end) {
      for (end = begin + 1; end < columns && color(row, end) == color(row, begin);) ++end;
      paths[to_string(color(row, begin))] +=
          fmt::format("M{} {}h{}v1H{}z", begin, row, end - begin, begin);
    }
  body_ += fmt::format(
      "<g transform=\"translate({} {}) scale({:.6g} {:.6g})\" shape-rendering=\"crispEdges\" "
      "fill=\"currentColor\" "
      "stroke=\"currentColor\" stroke-width=\".04\">\n",
      number(x), number(y), width / static_cast<double>(columns),
      height / static_cast<double>(rows));
  for (const auto& [fill, path] : paths)
    body_ += fmt::format("<path color=\"{}\" d=\"{}\"/>\n", fill, path);
  body_ += "</g>\n";
}

void Svg::group(double x, double y, std::string_view title, const std::function<void()>& draw) {
  size_t before = body_.size();
  body_ += fmt::format("<g transform=\"translate({} {})\">\n", number(x), number(y));
  if (!title.empty()) body_ += fmt::format("<title>{}</title>\n", escape_xml(title));
  try {
    draw();
  } catch (...) {  // drop the unfinished group
    body_.resize(before);
    throw;
  }
  body_ += "</g>\n";
}

std::string Svg::str() const {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" role=\"img\" font-family=\"sans-serif\" "
      "xml:space=\"preserve\">\n{2}</svg>\n",
      number(width_), number(height_), body_);
}

void Svg::save(const std::string& path) const { data::write_file(path, str()); }

}  // namespace heed::viz
