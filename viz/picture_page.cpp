#include <heed/viz/picture_page.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <heed/core/error.h>
#include <heed/data/images.h>
#include <heed/data/write_file.h>
#include <heed/viz/base64.h>
#include <heed/viz/svg.h>
#include <heed/viz/weight.h>

namespace heed::viz {

namespace {
constexpr int64_t kMostPixels = int64_t{1} << 26, kWantedSide = 256, kWantedWidth = 1024;
constexpr Color kHeat{235, 110, 0}, kQuery{30, 110, 255};

const char* const kBegin = R"html(<!DOCTYPE html>
<html xmlns="http://www.w3.org/1999/xhtml" lang="en">
<head>
<meta charset="utf-8"/>
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; style-src 'unsafe-inline'; img-src data:"/>
<meta name="viewport" content="width=device-width, initial-scale=1"/>
)html";

const char* const kStyle = R"html(<style>
:root { color-scheme: light dark; --paper: #fff; --ink: #282c34; --faint: #6e747e; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #14171c; --ink: #e4e6ea; --faint: #9aa1ac; } }
body { background: var(--paper); color: var(--ink); font: 16px/1.5 sans-serif; margin: 1.5rem; }
h1 { font-size: 1.4rem; margin: 0 0 .5rem; }
h2 { font-size: 1.1rem; margin: 1.5rem 0 .3rem; overflow-wrap: anywhere; }
p { margin: .2rem 0; overflow-wrap: anywhere; }
.maps { display: flex; flex-wrap: wrap; gap: 1rem; margin: .8rem 0; }
.frames { display: flex; flex-wrap: wrap; gap: 6px; font-size: .85rem; text-align: center; }
figure { margin: 0; break-inside: avoid; }
figcaption { font-size: .85rem; color: var(--faint); }
img { display: block; image-rendering: pixelated; }
</style>
)html";

void check_picture(const Array& picture, const std::string& name) {
  if (!picture.defined() || picture.dtype() != DType::u8)
    throw DTypeError(str(name, "a picture of u8 expected"));
  bool good = picture.rank() == 2 || (picture.rank() == 3 && picture.dim(2) == 3);
  if (!good || picture.numel() == 0)
    throw ShapeError(
        str(name, "a picture [H, W] or [H, W, 3] with H, W >= 1 expected, got ", picture.shape()));
}

void check_weights(const Array& weights, const Array& picture, const std::string& name) {
  if (!weights.defined() || !is_differentiable(weights.dtype()))
    throw DTypeError(str(name, "weights of f32, f64 or bf16 expected"));
  if (weights.rank() != 2 || weights.numel() == 0 || weights.dim(0) > picture.dim(0) ||
      weights.dim(1) > picture.dim(1))
    throw ShapeError(str(name, "weights [rows, columns], at least 1 and at most ", picture.dim(0),
                         " x ", picture.dim(1), " of them, expected, got ", weights.shape()));
}

void check_enlarge(const Array& picture, int64_t enlarge) {
  if (enlarge < 1 || picture.dim(0) > kMostPixels / enlarge / enlarge / picture.dim(1))
    throw ValueError(str("a picture of at most 2^26 pixels expected, got ", picture.dim(0), " x ",
                         picture.dim(1), ", enlarged ", enlarge, " times"));
}

uint8_t channel(const Array& picture, int64_t y, int64_t x, int64_t c) {
  int64_t at = y * picture.strides()[0] + x * picture.strides()[1];
  if (picture.rank() == 3) at += c * picture.strides()[2];
  return picture.data<uint8_t>()[at];
}

// out[y, x, c] for every pixel of the enlarged picture, from color(y, x) of the small one.
template <class ColorOf>
Array painted(const Array& picture, int64_t enlarge, ColorOf&& color_of) {
  int64_t height = picture.dim(0) * enlarge, width = picture.dim(1) * enlarge;
  Array out = Array::empty({height, width, 3}, DType::u8, kCpu);
  auto* to = out.data<uint8_t>();
  for (int64_t y = 0; y < height; ++y)
    for (int64_t x = 0; x < width; ++x) {
      Color color = color_of(y / enlarge, x / enlarge);
      *to++ = color.r, *to++ = color.g, *to++ = color.b;
    }
  return out;
}

double finite_weight(const Array& weights, int64_t row, int64_t column) {
  double w = weight_at(weights, row * weights.strides()[0] + column * weights.strides()[1]);
  return std::isfinite(w) ? w : 0;
}

struct Range {
  double low, high;
};
Range range_of(const Array& weights) {
  Range range{finite_weight(weights, 0, 0), 0};
  for (int64_t i = 0; i < weights.dim(0); ++i)
    for (int64_t j = 0; j < weights.dim(1); ++j) {
      double w = finite_weight(weights, i, j);
      range = {std::min(range.low, w), std::max(range.high, w)};
    }
  return range;
}

// A frame of 2 pixels around the enlarged region.
void mark(const Array& enlarged, const PictureRegion& region, int64_t enlarge) {
  int64_t top = region.y * enlarge, left = region.x * enlarge;
  int64_t bottom = top + region.height * enlarge, right = left + region.width * enlarge;
  for (int64_t y = top; y < bottom; ++y)
    for (int64_t x = left; x < right; ++x) {
      if (std::min({y - top, bottom - 1 - y, x - left, right - 1 - x}) >= 2) continue;
      auto* pixel = enlarged.data<uint8_t>() + (y * enlarged.dim(1) + x) * 3;
      pixel[0] = kQuery.r, pixel[1] = kQuery.g, pixel[2] = kQuery.b;
    }
}

std::string image(const Array& pixels, const std::string& alt) {
  return fmt::format(
      "<img width=\"{}\" height=\"{}\" alt=\"{}\" src=\"data:image/png;base64,{}\"/>",
      pixels.dim(1), pixels.dim(0), alt, base64(data::encode_png(pixels)));
}

std::string figure(const Array& pixels, const std::string& caption, int64_t frames) {
  std::string text = escape_xml(caption), shown;
  int64_t width = pixels.dim(1) / frames;
  for (int64_t f = 0; f < frames && frames > 1; ++f)
    shown += fmt::format("<span>{}{}</span>",
                         image(pixels.slice(1, f * width, (f + 1) * width),
                               fmt::format("{}, frame {}", text, f + 1)),
                         f + 1);
  shown = frames > 1 ? "<div class=\"frames\">" + shown + "</div>" : image(pixels, text);
  return "<figure>" + shown + "<figcaption>" + text + "</figcaption></figure>\n";
}

std::string panel_text(const PicturePanel& panel, const std::string& name) {
  const Array& picture = panel.picture;
  int64_t side = std::max(picture.dim(0), picture.dim(1) / panel.frames);
  int64_t enlarge =
      std::max<int64_t>(1, std::min(kWantedSide / side, kWantedWidth / picture.dim(1)));
  auto framed = [&](const Array& pixels) {
    if (panel.query) mark(pixels, *panel.query, enlarge);
    return pixels;
  };
  std::string out = "<section>\n<h2 dir=\"auto\">" + escape_xml(panel.title) + "</h2>\n";
  for (const std::string& line : panel.lines) out += "<p>" + escape_xml(line) + "</p>\n";
  out += "<div class=\"maps\">\n";
  check_enlarge(picture, enlarge);
  Array plain = painted(picture, enlarge, [&](int64_t y, int64_t x) {
    return Color{channel(picture, y, x, 0), channel(picture, y, x, 1), channel(picture, y, x, 2)};
  });
  out += figure(framed(plain), panel.frames > 1 ? "the frames" : "the picture", panel.frames);
  for (const PictureMap& map : panel.maps) {
    check_weights(map.weights, picture, str(name, ", '", map.title, "': "));
    Range range = range_of(map.weights);
    out +=
        figure(framed(lay_over(picture, map.weights, enlarge)),
               fmt::format("{}: {:.3g} to {:.3g}", map.title, range.low, range.high), panel.frames);
  }
  return out + "</div>\n</section>\n";
}
}  // namespace

Array lay_over(const Array& picture, const Array& weights, int64_t enlarge) {
  check_picture(picture, "lay_over: ");
  check_weights(weights, picture, "lay_over: ");
  check_enlarge(picture, enlarge);
  double largest = std::max(range_of(weights).high, 1e-300);
  int64_t height = picture.dim(0), width = picture.dim(1);
  return painted(picture, enlarge, [&](int64_t y, int64_t x) {
    double w = finite_weight(weights, y * weights.dim(0) / height, x * weights.dim(1) / width);
    double cover = 0.75 * std::clamp(w / largest, 0.0, 1.0);
    // A pale grey picture leaves its outlines visible below the colour.
    double grey = 0.299 * channel(picture, y, x, 0) + 0.587 * channel(picture, y, x, 1) +
                  0.114 * channel(picture, y, x, 2);
    double pale = 255 - 0.6 * (255 - grey);
    auto mix = [&](uint8_t heat) {
      return static_cast<uint8_t>(std::lround(pale * (1 - cover) + heat * cover));
    };
    return Color{mix(kHeat.r), mix(kHeat.g), mix(kHeat.b)};
  });
}

std::string picture_page(const std::vector<PicturePanel>& panels, const PageText& text) {
  if (panels.empty()) throw ValueError("picture_page: at least 1 picture expected");
  std::string title = escape_xml(text.title), body;
  for (size_t i = 0; i < panels.size(); ++i) {
    const PicturePanel& panel = panels[i];
    std::string name = str("picture_page: picture ", i);
    check_picture(panel.picture, name + ": ");
    if (panel.frames < 1 || panel.picture.dim(1) % panel.frames != 0)
      throw ValueError(str(name, ": ", panel.frames, " frames do not divide a width of ",
                           panel.picture.dim(1), " pixels"));
    if (const auto& q = panel.query) {
      int64_t height = panel.picture.dim(0), width = panel.picture.dim(1);
      bool inside = q->x >= 0 && q->y >= 0 && q->width >= 1 && q->height >= 1 &&
                    q->width <= width && q->height <= height && q->x <= width - q->width &&
                    q->y <= height - q->height;
      if (!inside)
        throw ValueError(str(name, ": a region inside of ", width, " x ", height,
                             " pixels expected, got ", q->width, " x ", q->height, " at ", q->x,
                             ",", q->y));
    }
    body += panel_text(panel, name);
  }
  std::string paragraphs;
  for (const std::string& line : text.lines)
    paragraphs += "<p dir=\"auto\">" + escape_xml(line) + "</p>\n";
  return str(kBegin, "<title>", title, "</title>\n", kStyle, "</head>\n<body>\n<h1>", title,
             "</h1>\n", paragraphs, body, "</body>\n</html>\n");
}

void save_picture_page(const std::string& path, const std::vector<PicturePanel>& panels,
                       const PageText& text) {
  data::write_file(path, picture_page(panels, text));
}

}  // namespace heed::viz
