// How often each class was taken for which: the confusion matrix of a classifier.
//
//   ConfusionMatrix matrix(set.classes());
//   matrix.add(batch.labels, predictions);       // for every batch
//   matrix.accuracy();                           // 0.9381
//   matrix.count(3, 5);                          // images of class 3 that were taken for class 5
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace heed::data {

class ConfusionMatrix {
 public:
  explicit ConfusionMatrix(int64_t classes);  // ValueError: classes < 1

  // Image i is of class labels[i] and was taken for predictions[i]. ShapeError: unequal counts;
  // ValueError: a number outside [0, classes), and then nothing is added.
  void add(std::span<const int64_t> labels, std::span<const int64_t> predictions);

  int64_t classes() const { return classes_; }
  int64_t count(int64_t label, int64_t prediction) const;  // ValueError: outside [0, classes)
  int64_t total() const;
  // The share of images taken for what they are: of all, and of those of each class. NaN where
  // there are no images.
  double accuracy() const;
  std::vector<double> accuracy_by_class() const;

 private:
  int64_t classes_;
  std::vector<int64_t> counts_;  // [label, prediction]
};

}  // namespace heed::data
