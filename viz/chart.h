// Charts: lines over numbers, and bars over names.
//
//   draw_lines({{"train", steps, losses}}, {.title = "loss", .x_label = "step"}).save("loss.svg");
//   draw_bars({"short", "long"}, {{"with", {97, 95}}, {"without", {82, 27}}}).save("bleu.svg");
//
// The axes end at round numbers; a legend names the series, at most 8 of them.
// ValueError: no series or too many, none or not as many numbers as expected, numbers that are not
// finite or beyond 1e300, bars below 0. Numbers below 1e-300 are drawn as 0.
#pragma once

#include <string>
#include <vector>

#include <heed/viz/svg.h>

namespace heed::viz {

struct Line {
  std::string name;
  std::vector<double> x, y;  // points in the order in which they are joined, at least one
};

struct Bars {
  std::string name;
  std::vector<double> values;  // one for each group, at least 0
};

struct ChartOptions {
  std::string title = {}, x_label = {}, y_label = {};
  double width = 560, height = 320;  // of the whole picture without the legend, 200 to 4000
};

Svg draw_lines(const std::vector<Line>& lines, const ChartOptions& options = {});
// Side by side in each group, with the value above, rounded to a whole number from 10 on.
Svg draw_bars(const std::vector<std::string>& groups, const std::vector<Bars>& bars,
              const ChartOptions& options = {});

// Round numbers (1, 2 or 5 times a power of ten apart) from below `low` to above `high`, about
// `count` of them; where low and high are practically one number, around it. ValueError:
// low > high, or not finite, or beyond 1e300.
std::vector<double> ticks(double low, double high, int count);

}  // namespace heed::viz
