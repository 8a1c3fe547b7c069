#include <heed/data/confusion.h>

#include <array>

#include <heed/core/error.h>
#include <heed/core/xtensor.h>

namespace heed::data {

namespace {
int64_t require_classes(int64_t classes) {
  if (classes < 1) throw ValueError(str("ConfusionMatrix: classes >= 1 expected, got ", classes));
  return classes;
}

void require_class(const char* what, int64_t value, int64_t classes) {
  if (value < 0 || value >= classes)
    throw ValueError(str("ConfusionMatrix: ", what, " ", value, " is out of range: there are ",
                         classes, " classes"));
}

template <class Counts>
auto matrix_of(Counts& counts, int64_t classes) {
  auto n = static_cast<size_t>(classes);
  return xt::adapt(counts, std::array<size_t, 2>{n, n});
}
}  // namespace

ConfusionMatrix::ConfusionMatrix(int64_t classes)
    : classes_(require_classes(classes)), counts_(static_cast<size_t>(classes * classes)) {}

void ConfusionMatrix::add(std::span<const int64_t> labels, std::span<const int64_t> predictions) {
  if (labels.size() != predictions.size())
    throw ShapeError(str("ConfusionMatrix: ", labels.size(), " labels, but ", predictions.size(),
                         " predictions"));
  for (int64_t label : labels) require_class("label", label, classes());
  for (int64_t prediction : predictions) require_class("prediction", prediction, classes());
  auto counts = matrix_of(counts_, classes_);
  for (size_t i = 0; i < labels.size(); ++i) ++counts(labels[i], predictions[i]);
}

int64_t ConfusionMatrix::count(int64_t label, int64_t prediction) const {
  require_class("label", label, classes());
  require_class("prediction", prediction, classes());
  return matrix_of(counts_, classes_)(label, prediction);
}

int64_t ConfusionMatrix::total() const { return xt::sum(matrix_of(counts_, classes_))(); }

double ConfusionMatrix::accuracy() const {
  auto right = xt::diagonal(matrix_of(counts_, classes_));
  return static_cast<double>(xt::sum(right)()) / static_cast<double>(total());
}

std::vector<double> ConfusionMatrix::accuracy_by_class() const {
  auto counts = matrix_of(counts_, classes_);
  xt::xtensor<double, 1> share =
      xt::cast<double>(xt::diagonal(counts)) / xt::cast<double>(xt::sum(counts, {1}));
  return {share.begin(), share.end()};
}

}  // namespace heed::data
