#include <heed/viz/attention_maps.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <heed/core/error.h>
#include <heed/viz/weight.h>

namespace heed::viz {

namespace {
constexpr double kGap = 24, kSpace = 6, kLegendHeight = 30;
constexpr int64_t kMostRectangles = 64, kMostCharacters = 32;

int64_t rows_of(const AttentionMap& m) { return m.weights.dim(0); }
int64_t columns_of(const AttentionMap& m) { return m.weights.dim(1); }

double weight(const Array& a, int64_t row, int64_t column) {
  int64_t at = row * a.strides()[0] + column * a.strides()[1];
  return weight_at(a, at);
}

void check_map(const AttentionMap& m, size_t i) {
  std::string name = str("attention map ", i, m.title.empty() ? "" : " ('" + m.title + "')", ": ");
  if (!m.weights.defined() || !is_differentiable(m.weights.dtype()))
    throw DTypeError(str(name, "an array of f32, f64 or bf16 expected"));
  if (m.weights.rank() != 2 || m.weights.numel() == 0)
    throw ShapeError(str(name, "weights [T, S] with T, S >= 1 expected, got ", m.weights.shape()));
  auto labels = [&](const std::vector<std::string>& list, int64_t size, const char* what) {
    if (!list.empty() && static_cast<int64_t>(list.size()) != size)
      throw ShapeError(str(name, list.size(), " ", what, " labels for ", size, " ", what, "s"));
  };
  labels(m.row_labels, rows_of(m), "row");
  labels(m.column_labels, columns_of(m), "column");
}

void check(const std::vector<AttentionMap>& maps, const MapOptions& o) {
  if (maps.empty()) throw ValueError("attention maps: no maps given");
  if (!(o.cell >= 0.1 && o.cell <= 256) || o.grid_columns < 0 || !(o.max > 0) || std::isinf(o.max))
    throw ValueError(
        str("attention maps: cell from 0.1 to 256, grid_columns >= 0 and max > 0 expected, got ",
            o.cell, ", ", o.grid_columns, ", ", o.max));
  int64_t weights = 0;
  for (size_t i = 0; i < maps.size(); ++i) {
    check_map(maps[i], i);
    weights += maps[i].weights.numel();
  }
  if (weights > int64_t{1} << 26)
    throw ValueError(str("attention maps: at most 2^26 weights expected, got ", weights));
}

// Sizes of the parts of a map, all maps of a picture alike.
struct Layout {
  double cell = 0, font = 0;     // font: of the labels
  double left = 0, above = 0;    // room for row labels, column labels
  double title = 0;              // room for the title
  double width = 0, height = 0;  // of a map with its labels and title
  int across = 1, down = 1;      // maps in the picture
};

Layout measure(const std::vector<AttentionMap>& maps, const MapOptions& o) {
  Layout l;
  l.cell = o.cell;
  l.font = o.cell < 9 ? 0 : std::min(13.0, 0.65 * o.cell);
  double widest = 0, highest = 0, widest_title = 0;
  auto room = [&](const std::string& label) {
    return l.font > 0 ? text_room(shortened(label, kMostCharacters), l.font) + kSpace : 0;
  };
  for (const AttentionMap& m : maps) {
    widest = std::max(widest, static_cast<double>(columns_of(m)) * o.cell);
    highest = std::max(highest, static_cast<double>(rows_of(m)) * o.cell);
    for (const std::string& label : m.row_labels) l.left = std::max(l.left, room(label));
    for (const std::string& label : m.column_labels) l.above = std::max(l.above, room(label));
    if (!m.title.empty()) l.title = kTitleSize + 2 * kSpace;
    widest_title = std::max(widest_title, text_room(m.title, kTitleSize));
  }
  l.width = std::max(l.left + widest, widest_title);
  l.height = l.title + l.above + highest;
  int count = static_cast<int>(maps.size());
  l.across = o.grid_columns ? o.grid_columns : static_cast<int>(std::ceil(std::sqrt(count)));
  l.across = std::min(l.across, count);
  l.down = (count + l.across - 1) / l.across;
  return l;
}

Array colors_of(const AttentionMap& m, double max) {
  Array colors = Array::empty({rows_of(m), columns_of(m), 3}, DType::u8, kCpu);
  auto* to = colors.data<uint8_t>();
  for (int64_t i = 0; i < rows_of(m); ++i)
    for (int64_t j = 0; j < columns_of(m); ++j) {
      Color c = heat_color(weight(m.weights, i, j) / max);
      for (uint8_t part : {c.r, c.g, c.b}) *to++ = part;
    }
  return colors;
}

// With the upper left corner of its title at (0, 0).
void draw_map(Svg& svg, const AttentionMap& m, const Layout& l, double max) {
  if (!m.title.empty()) svg.text(0, kTitleSize / 2, m.title, {.size = kTitleSize});
  double x = l.left, y = l.title + l.above;
  auto middle = [&](size_t i) { return (static_cast<double>(i) + 0.5) * l.cell; };
  if (l.font > 0) {
    for (size_t i = 0; i < m.row_labels.size(); ++i)
      svg.text(x - kSpace, y + middle(i), shortened(m.row_labels[i], kMostCharacters),
               {.size = l.font, .anchor = Anchor::end});
    for (size_t j = 0; j < m.column_labels.size(); ++j)
      svg.text(x + middle(j), y - kSpace, shortened(m.column_labels[j], kMostCharacters),
               {.size = l.font, .upwards = true});
  }
  double width = static_cast<double>(columns_of(m)) * l.cell,
         height = static_cast<double>(rows_of(m)) * l.cell;
  bool few = std::max(rows_of(m), columns_of(m)) <= kMostRectangles;
  few ? svg.cells(x, y, width, height, colors_of(m, max))
      : svg.image(x, y, width, height, colors_of(m, max));
  svg.frame(x, y, width, height, kRule);
}

void draw_legend(Svg& svg, double max, double x, double y) {
  constexpr int kSteps = 40;
  constexpr double kWidth = 160, kHeight = 10;
  AttentionMap scale{Array::empty({1, kSteps}, DType::f32, kCpu)};
  for (int i = 0; i < kSteps; ++i)
    scale.weights.data<float>()[i] = static_cast<float>(i) / (kSteps - 1);
  TextStyle style{.size = 11, .color = kFaint, .anchor = Anchor::end};
  svg.text(x + 10, y + kHeight / 2, "0", style);
  svg.cells(x + 16, y, kWidth, kHeight, colors_of(scale, 1));
  svg.frame(x + 16, y, kWidth, kHeight, kRule);
  style.anchor = Anchor::start;
  svg.text(x + 16 + kWidth + kSpace, y + kHeight / 2, fmt::format("{:.3g}", max), style);
}
}  // namespace

Color heat_color(double value) {
  if (std::isnan(value)) return {220, 40, 40};
  static constexpr double kStops[][3] = {{250, 250, 245}, {212, 234, 196}, {130, 203, 184},
                                         {54, 154, 186},  {38, 88, 158},   {24, 26, 84}};
  double at = std::clamp(value, 0.0, 1.0) * 5;
  int i = std::min(4, static_cast<int>(at));
  auto mix = [&](int c) {
    return static_cast<uint8_t>(
        std::lround(kStops[i][c] + (at - i) * (kStops[i + 1][c] - kStops[i][c])));
  };
  return {mix(0), mix(1), mix(2)};
}

Svg draw_maps(const std::vector<AttentionMap>& maps, const MapOptions& options) {
  check(maps, options);
  Layout l = measure(maps, options);
  double width = 2 * kMargin + l.across * (l.width + kGap) - kGap,
         height = 2 * kMargin + l.down * (l.height + kGap) - kGap;
  if (options.legend) {
    width = std::max(width, 2 * kMargin + 240);
    height += kLegendHeight;
  }
  if (width > kLargest || height > kLargest)
    throw ValueError(str("attention maps: the picture would be ", width, " x ", height,
                         " units large, more than ", kLargest, "; a smaller cell helps"));
  Svg svg(width, height,
          maps.size() == 1 && !maps[0].title.empty() ? maps[0].title : "attention maps");
  for (size_t i = 0; i < maps.size(); ++i) {
    int at = static_cast<int>(i);
    svg.group(kMargin + at % l.across * (l.width + kGap),
              kMargin + at / l.across * (l.height + kGap), maps[i].title,
              [&] { draw_map(svg, maps[i], l, options.max); });
  }
  if (options.legend) draw_legend(svg, options.max, kMargin, height - kMargin - 10);
  return svg;
}

}  // namespace heed::viz
