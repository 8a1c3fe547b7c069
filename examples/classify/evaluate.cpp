#include "evaluate.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/train/progress.h>

#include "../common/program.h"

namespace heed::examples {

data::ImageBatchOptions evaluation_batches(const data::ImageInfo& info, int64_t most) {
  return {.batch = std::min<int64_t>(256, most),
          .shuffle = false,
          .statistics = info.statistics,
          .augmentation = {}};
}

Evaluation evaluate(const Classifier& classifier, const data::ImageBatches& batches,
                    bool progress) {
  NoGrad guard;
  Evaluation result{.confusion = data::ConfusionMatrix(batches.set().classes())};
  train::Progress line({.quiet = !progress});
  int64_t total = batches.set().size();
  double sum = 0;
  for (int64_t i = 0, done = 0; i < batches.count(0); ++i) {
    data::ImageBatch batch = batches.get(0, i);
    auto rows = static_cast<int64_t>(batch.labels.size());
    Tensor logits = classifier.forward(classifier.input(batch.images));
    Tensor labels = on_device(Array::from(batch.labels, {rows}));
    sum += cross_entropy(logits, labels).item() * static_cast<double>(rows);
    std::vector<int64_t> predicted;
    for (double label : argmax(logits, -1).to_vector())
      predicted.push_back(static_cast<int64_t>(label));
    result.confusion.add(batch.labels, predicted);
    done += rows;
    line.update(done, total, str(done, " of ", total, " pictures classified"));
  }
  line.finish();
  result.loss = sum / static_cast<double>(total);
  return result;
}

void print_report(const Evaluation& evaluation, const std::vector<std::string>& class_names) {
  const data::ConfusionMatrix& c = evaluation.confusion;
  std::printf("accuracy = %.2f %% (%s), loss %.4f\n", 100 * c.accuracy(),
              counted(c.total(), "image").c_str(), evaluation.loss);
  std::vector<double> by_class = c.accuracy_by_class();
  std::printf("\naccuracy by class\n");
  auto classes = static_cast<int64_t>(class_names.size());
  for (int64_t i = 0; i < classes; ++i) {
    int64_t images = 0;
    for (int64_t j = 0; j < classes; ++j) images += c.count(i, j);
    double accuracy = by_class[static_cast<size_t>(i)];
    std::string text = images ? str(std::round(1e4 * accuracy) / 100, " %") : "no images";
    // The name is last: how wide it is depends on its script and on the terminal.
    std::printf("  %3lld %10s %8s  %s\n", static_cast<long long>(i), text.c_str(),
                str("(", images, ")").c_str(),
                printable(class_names[static_cast<size_t>(i)]).c_str());
  }
  constexpr int64_t kWidest = 40;  // a matrix of more columns is not readable
  if (classes > kWidest) return;
  std::printf("\nconfusion matrix: a row is a true class, a column what it was taken for\n     ");
  for (int64_t j = 0; j < classes; ++j) std::printf(" %5lld", static_cast<long long>(j));
  for (int64_t i = 0; i < classes; ++i) {
    std::printf("\n  %3lld", static_cast<long long>(i));
    for (int64_t j = 0; j < classes; ++j)
      std::printf(" %5lld", static_cast<long long>(c.count(i, j)));
  }
  std::printf("\n");
}

}  // namespace heed::examples
