#include <heed/data/heatmap.h>

#include <algorithm>
#include <cmath>

#include <heed/core/error.h>
#include <heed/data/images.h>

namespace heed::data {

namespace {
constexpr Color kInk = {40, 44, 52}, kFaint = {150, 156, 166}, kLine = {205, 209, 214},
                kNaN = {220, 40, 40};
constexpr int kMargin = 16, kGap = 24, kSpace = 6;

int64_t rows_of(const AttentionMap& m) { return m.weights.dim(0); }
int64_t columns_of(const AttentionMap& m) { return m.weights.dim(1); }

double weight(const Array& a, int64_t row, int64_t column) {
  int64_t at = row * a.strides()[0] + column * a.strides()[1];
  switch (a.dtype()) {
    case DType::f32: return double{a.data<float>()[at]};
    case DType::bf16: return double{to_float(a.data<bfloat16>()[at])};
    default: return a.data<double>()[at];
  }
}

void check_map(const AttentionMap& m, size_t i) {
  std::string name = str("heatmap ", i, m.title.empty() ? "" : " ('" + m.title + "')", ": ");
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

// Pixels of the parts of a map, all maps of a picture alike.
struct Layout {
  int cell = 0, text = 1;     // text: size of labels
  int left = 0, above = 0;    // room for row labels, column labels
  int title = 0;              // room for the title
  int width = 0, height = 0;  // of the cells
  int panel_width = 0, panel_height = 0;
};

Layout measure(std::span<const AttentionMap> maps, int cell) {
  Layout l;
  l.cell = cell;
  l.text = cell >= 17 ? 2 : 1;
  bool labels = cell >= 9;
  int widest_title = 0;
  for (const AttentionMap& m : maps) {
    l.width = std::max<int>(l.width, static_cast<int>(columns_of(m)) * cell);
    l.height = std::max<int>(l.height, static_cast<int>(rows_of(m)) * cell);
    for (auto& label : m.row_labels)
      if (labels) l.left = std::max(l.left, text_width(label, l.text) + kSpace);
    for (auto& label : m.column_labels)
      if (labels) l.above = std::max(l.above, text_width(label, l.text) + kSpace);
    if (!m.title.empty()) l.title = (kTextHeight + kTextDescent) * 2 + kSpace;
    widest_title = std::max(widest_title, text_width(m.title, 2));
  }
  l.panel_width = std::max(l.left + l.width + 2, widest_title);
  l.panel_height = l.title + l.above + l.height + 2;
  return l;
}

void draw_map(Canvas& canvas, const AttentionMap& m, const Layout& l, double max, int x, int y) {
  canvas.text(x, y, m.title, kInk, 2);
  int rows = static_cast<int>(rows_of(m)), columns = static_cast<int>(columns_of(m));
  x += l.left + 1;
  y += l.title + l.above + 1;
  int middle = (l.cell - kTextHeight * l.text) / 2;
  if (l.left)
    for (size_t i = 0; i < m.row_labels.size(); ++i)
      canvas.text(x - kSpace - text_width(m.row_labels[i], l.text),
                  y + static_cast<int>(i) * l.cell + middle, m.row_labels[i], kInk, l.text);
  if (l.above)
    for (size_t j = 0; j < m.column_labels.size(); ++j)
      canvas.text_up(x + static_cast<int>(j) * l.cell + middle, y - kSpace, m.column_labels[j],
                     kInk, l.text);
  for (int i = 0; i < rows; ++i)
    for (int j = 0; j < columns; ++j)
      canvas.fill(x + j * l.cell, y + i * l.cell, l.cell, l.cell,
                  heat_color(weight(m.weights, i, j) / max));
  canvas.frame(x - 1, y - 1, columns * l.cell + 2, rows * l.cell + 2, kLine);
}

void draw_legend(Canvas& canvas, double max, int x, int y) {
  constexpr int kWidth = 160, kHeight = 10;
  std::string high = str(std::round(max * 1000) / 1000);
  canvas.text(x, y + 2, "0", kFaint);
  for (int i = 0; i < kWidth; ++i)
    canvas.fill(x + 11 + i, y, 1, kHeight, heat_color(i / (kWidth - 1.0)));
  canvas.frame(x + 10, y - 1, kWidth + 2, kHeight + 2, kLine);
  canvas.text(x + kWidth + 18, y + 2, high, kFaint);
}
}  // namespace

Color heat_color(double value) {
  if (std::isnan(value)) return kNaN;
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

Array draw_heatmaps(std::span<const AttentionMap> maps, const HeatmapOptions& options) {
  if (maps.empty()) throw ValueError("heatmap: no maps given");
  if (options.cell < 1 || options.cell > 256 || options.grid_columns < 0 || !(options.max > 0) ||
      std::isinf(options.max))
    throw ValueError(
        str("heatmap: cell from 1 to 256, grid_columns >= 0 and max > 0 expected, got ",
            options.cell, ", ", options.grid_columns, ", ", options.max));
  for (size_t i = 0; i < maps.size(); ++i) {
    check_map(maps[i], i);
    if (std::max(rows_of(maps[i]), columns_of(maps[i])) > 65535)
      throw ValueError(str("heatmap ", i, ": too large for a picture: ", maps[i].weights.shape()));
  }
  int count = static_cast<int>(maps.size());
  int across =
      options.grid_columns ? options.grid_columns : static_cast<int>(std::ceil(std::sqrt(count)));
  across = std::min(across, count);
  int down = (count + across - 1) / across;
  Layout l = measure(maps, options.cell);
  int64_t width = 2 * kMargin + int64_t{across} * (l.panel_width + kGap) - kGap;
  int64_t height =
      2 * kMargin + int64_t{down} * (l.panel_height + kGap) - kGap + (options.legend ? 30 : 0);
  if (options.legend) width = std::max<int64_t>(width, 2 * kMargin + 230);
  if (width > 65535 || height > 65535 || width * height > int64_t{1} << 26)
    throw ValueError(str("heatmap: the picture would have ", width, " x ", height,
                         " pixels; a smaller cell helps"));
  Canvas canvas(static_cast<int>(width), static_cast<int>(height));
  for (int i = 0; i < count; ++i)
    draw_map(canvas, maps[static_cast<size_t>(i)], l, options.max,
             kMargin + i % across * (l.panel_width + kGap),
             kMargin + i / across * (l.panel_height + kGap));
  if (options.legend)
    draw_legend(canvas, options.max, kMargin + l.left, canvas.height() - kMargin - 10);
  return canvas.image();
}

void write_heatmaps(const std::string& path, std::span<const AttentionMap> maps,
                    const HeatmapOptions& options) {
  write_png(path, draw_heatmaps(maps, options));
}

}  // namespace heed::data
