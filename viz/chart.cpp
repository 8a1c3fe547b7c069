#include <heed/viz/chart.h>

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include <heed/core/error.h>

namespace heed::viz {

namespace {
constexpr Color kColors[] = {{30, 90, 160},  {200, 120, 40},  {60, 140, 80},  {180, 60, 70},
                             {120, 90, 170}, {110, 110, 110}, {40, 150, 160}, {200, 100, 160}};
constexpr size_t kMostSeries = std::size(kColors);
constexpr double kFont = 12, kNumber = 11;

void check_finite(const std::string& name, const std::vector<double>& numbers) {
  for (double x : numbers)
    if (!std::isfinite(x))
      throw ValueError(str("chart: '", name, "': finite numbers expected, got ", x));
}

void check(const ChartOptions& o, size_t series) {
  auto good = [](double side) { return side >= 200 && side <= 4000; };
  if (!good(o.width) || !good(o.height))
    throw ValueError(
        str("chart: 200 to 4000 units on a side expected, got ", o.width, " x ", o.height));
  if (series == 0 || series > kMostSeries)
    throw ValueError(str("chart: 1 to ", kMostSeries, " series expected, got ", series));
}

// Beyond these, steps between ticks could not be told from 0, or would overflow.
constexpr double kLeastNumber = 1e-300, kLargestNumber = 1e300;

std::string tick_text(double x) { return fmt::format("{:.10g}", x); }

// The picture with everything but the data: title, axes, grid, legend.
class Frame {
 public:
  Frame(const ChartOptions& o, const std::vector<std::string>& names, std::vector<double> y_ticks)
      : y_ticks_(std::move(y_ticks)), svg_(picture_width(o, names), o.height, title_of(o)) {
    double number_room = 0;
    for (double y : y_ticks_) number_room = std::max(number_room, text_room(tick_text(y), kNumber));
    left_ = kMargin + (o.y_label.empty() ? 0 : kFont + 8) + number_room + 6;
    right_ = o.width - kMargin - 8;
    top_ = kMargin + 10 + (o.title.empty() ? 0 : kTitleSize + 12);  // 10: for a value above
    bottom_ = o.height - kMargin - kNumber - 8 - (o.x_label.empty() ? 0 : kFont + 8);
    if (!o.title.empty())
      svg_.text(kMargin, kMargin + kTitleSize / 2, o.title, {.size = kTitleSize});
    for (double tick : y_ticks_) {
      svg_.line(left_, y(tick), right_, y(tick), tick == y_ticks_.front() ? kFaint : kRule);
      svg_.text(left_ - 6, y(tick), tick_text(tick),
                {.size = kNumber, .color = kFaint, .anchor = Anchor::end});
    }
    svg_.text((left_ + right_) / 2, o.height - kMargin - kFont / 2, o.x_label,
              {.size = kFont, .anchor = Anchor::middle});
    svg_.text(kMargin + kFont / 2, (top_ + bottom_) / 2, o.y_label,
              {.size = kFont, .anchor = Anchor::middle, .upwards = true});
    for (size_t i = 0; i < names.size(); ++i) {
      double middle = top_ + 10 + 22 * static_cast<double>(i);
      svg_.rect(o.width, middle - 6, 12, 12, kColors[i]);
      svg_.text(o.width + 20, middle, names[i], {.size = kFont});
    }
  }

  Svg& svg() { return svg_; }
  double left() const { return left_; }
  double right() const { return right_; }
  double y(double value) const {
    double part = (value - y_ticks_.front()) / (y_ticks_.back() - y_ticks_.front());
    return bottom_ - part * (bottom_ - top_);
  }
  double x(double part) const { return left_ + part * (right_ - left_); }  // 0 <= part <= 1
  void x_text(double at, const std::string& text) {
    svg_.text(at, bottom_ + 6 + kNumber / 2, text,
              {.size = kNumber, .color = kFaint, .anchor = Anchor::middle});
  }
  void x_tick(double at, const std::string& text) {
    svg_.line(at, bottom_, at, bottom_ + 4, kFaint);
    x_text(at, text);
  }

 private:
  static std::string title_of(const ChartOptions& o) { return o.title.empty() ? "chart" : o.title; }
  static double picture_width(const ChartOptions& o, const std::vector<std::string>& names) {
    double room = 0;
    for (const std::string& name : names) room = std::max(room, text_room(name, kFont));
    return std::max(o.width + 20 + room, kMargin + text_room(o.title, kTitleSize)) + kMargin;
  }
  std::vector<double> y_ticks_;
  Svg svg_;
  double left_ = 0, right_ = 0, top_ = 0, bottom_ = 0;
};

template <class Series>
std::vector<std::string> names_of(const std::vector<Series>& list) {
  std::vector<std::string> names;
  for (const Series& series : list) names.push_back(series.name);
  return names;
}
}  // namespace

std::vector<double> ticks(double low, double high, int count) {
  double size = std::max(std::abs(low), std::abs(high));
  if (!(low <= high) || !(size <= kLargestNumber) || count < 1)
    throw ValueError(
        str("chart: a range of numbers up to 1e300 expected, got ", low, " to ", high));
  if (high - low <=
      std::max(1e-9 * size, kLeastNumber)) {  // practically one number: a range around it
    double away = size <= kLeastNumber ? 1 : size / 2;
    low -= away, high += away;
  }
  double rough = (high - low) / count, power = std::pow(10, std::floor(std::log10(rough)));
  double step = 10 * power;
  for (double factor : {5, 2, 1})
    if (factor * power >= rough * 0.999) step = factor * power;
  double first = std::floor(low / step + 1e-9), last = std::ceil(high / step - 1e-9);
  std::vector<double> out;
  for (double i = first; i <= last; ++i) out.push_back(i == 0 ? 0 : i * step);
  return out;
}

Svg draw_lines(const std::vector<Line>& lines, const ChartOptions& options) {
  check(options, lines.size());
  double low_x = INFINITY, high_x = -INFINITY, low_y = INFINITY, high_y = -INFINITY;
  for (const Line& line : lines) {
    if (line.x.empty() || line.x.size() != line.y.size())
      throw ValueError(str("chart: '", line.name, "': as many x as y expected, at least 1, got ",
                           line.x.size(), " and ", line.y.size()));
    check_finite(line.name, line.x);
    check_finite(line.name, line.y);
    auto [x0, x1] = std::minmax_element(line.x.begin(), line.x.end());
    auto [y0, y1] = std::minmax_element(line.y.begin(), line.y.end());
    low_x = std::min(low_x, *x0), high_x = std::max(high_x, *x1);
    low_y = std::min(low_y, *y0), high_y = std::max(high_y, *y1);
  }
  Frame frame(options, names_of(lines), ticks(low_y, high_y, 5));
  std::vector<double> x_ticks = ticks(low_x, high_x, 6);
  auto x = [&](double value) {
    return frame.x((value - x_ticks.front()) / (x_ticks.back() - x_ticks.front()));
  };
  for (double tick : x_ticks) frame.x_tick(x(tick), tick_text(tick));
  for (size_t i = 0; i < lines.size(); ++i) {
    std::vector<std::pair<double, double>> points;
    for (size_t k = 0; k < lines[i].x.size(); ++k)
      points.emplace_back(x(lines[i].x[k]), frame.y(lines[i].y[k]));
    frame.svg().polyline(points, kColors[i]);
    if (points.size() <= 30)  // so few that each is worth a mark; one alone is no line
      for (auto [px, py] : points) frame.svg().circle(px, py, 3, kColors[i]);
  }
  return std::move(frame.svg());
}

Svg draw_bars(const std::vector<std::string>& groups, const std::vector<Bars>& bars,
              const ChartOptions& options) {
  check(options, bars.size());
  if (groups.empty()) throw ValueError("chart: at least 1 group of bars expected");
  double high = 0;
  for (const Bars& series : bars) {
    if (series.values.size() != groups.size())
      throw ValueError(str("chart: '", series.name, "': ", groups.size(),
                           " values expected, one for each group, got ", series.values.size()));
    check_finite(series.name, series.values);
    for (double value : series.values) {
      if (value < 0)
        throw ValueError(
            str("chart: '", series.name, "': bars of at least 0 expected, got ", value));
      high = std::max(high, value);
    }
  }
  Frame frame(options, names_of(bars), ticks(0, high > kLeastNumber ? high : 1, 5));
  double group_width = (frame.right() - frame.left()) / static_cast<double>(groups.size());
  double bar_width = 0.8 * group_width / static_cast<double>(bars.size());
  for (size_t g = 0; g < groups.size(); ++g) {
    double begin = frame.left() + group_width * (static_cast<double>(g) + 0.1);
    frame.x_text(begin + 0.4 * group_width, groups[g]);
    for (size_t i = 0; i < bars.size(); ++i) {
      double value = bars[i].values[g], left = begin + bar_width * static_cast<double>(i);
      double top = frame.y(value);
      frame.svg().rect(left, top, 0.94 * bar_width, frame.y(0) - top, kColors[i]);
      frame.svg().text(left + bar_width / 2, top - 8,
                       value >= 10 ? fmt::format("{:.0f}", value) : fmt::format("{:.2g}", value),
                       {.size = kNumber, .anchor = Anchor::middle});
    }
  }
  return std::move(frame.svg());
}

}  // namespace heed::viz
