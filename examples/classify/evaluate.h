// How well a classifier does on a set of pictures.
#pragma once

#include <heed/data/confusion.h>
#include <heed/data/image_batches.h>

#include "classifier.h"

namespace heed::examples {

struct Evaluation {
  double loss = 0;  // mean cross-entropy
  data::ConfusionMatrix confusion;
};
// The model must be in eval mode. `progress`: a line on stderr while it works.
Evaluation evaluate(const Classifier& classifier, const data::ImageBatches& batches,
                    bool progress = false);

// `most`: pictures a batch, so that an evaluation needs no more memory than the training.
data::ImageBatchOptions evaluation_batches(const data::ImageInfo& info, int64_t most = 256);

// accuracy = 93.81 % (10000 images), accuracy by class, confusion matrix.
void print_report(const Evaluation& evaluation, const std::vector<std::string>& class_names);

}  // namespace heed::examples
