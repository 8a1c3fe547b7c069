#include <heed/train/loss_chart.h>

#include <vector>

#include <heed/train/files.h>
#include <heed/train/metrics.h>
#include <heed/viz/chart.h>

namespace heed::train {

bool save_loss_chart(const std::string& metrics_file, const std::string& svg_file,
                     const std::string& metric) {
  viz::Line training{"training loss", {}, {}}, evaluation{metric, {}, {}};
  auto add = [](viz::Line& line, const std::map<std::string, double>& numbers, const char* name) {
    auto step = numbers.find("step"), value = numbers.find(name);
    if (step == numbers.end() || value == numbers.end()) return;
    line.x.push_back(step->second);
    line.y.push_back(value->second);
  };
  for (const auto& numbers : read_metrics(metrics_file)) {
    add(training, numbers, "loss");
    add(evaluation, numbers, metric.c_str());
  }
  std::vector<viz::Line> lines;
  for (viz::Line* line : {&training, &evaluation})
    if (!line->x.empty()) lines.push_back(std::move(*line));
  if (lines.empty()) return false;
  replace_file(svg_file, viz::draw_lines(lines, {.title = "losses", .x_label = "step"}).str());
  return true;
}

}  // namespace heed::train
