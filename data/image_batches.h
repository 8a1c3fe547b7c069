// Batches of pictures or clips, normalised, with their labels.
//
// Which images share a batch, in which order batches come and how images are changed
// (`augment.h`) is a pure function of (seed, epoch, index): to resume after a stop takes only the
// epoch and the index of the next batch. Without shuffle every epoch has the order of the set. The
// last batch of an epoch may be smaller.
//
//   ImageBatches batches(train, {.batch = 128, .seed = 1, .statistics = image_statistics(*train),
//                                .augmentation = parse_augmentation("shift")});
//   for (int64_t i = 0; i < batches.count(epoch); ++i) ImageBatch b = batches.get(epoch, i);
//
// Safe to call from several threads; does all its work in the calling one (make batches ahead with
// `prefetch.h`).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include <heed/core/array.h>
#include <heed/data/augment.h>
#include <heed/data/image_set.h>
#include <heed/data/image_statistics.h>

namespace heed::data {

template <class Plan>
class EpochPlan;

struct ImageBatch {
  Array images;                 // [B, C, H, W] or [B, C, T, H, W], f32
  std::vector<int64_t> labels;  // [B]
  std::vector<int64_t> rows;    // [B] which images of the set these are
};

struct ImageBatchOptions {
  int64_t batch = 128;
  uint64_t seed = 0;
  bool shuffle = true;
  ImageStatistics statistics{};  // of the training images, for each part
  Augmentation augmentation{};   // none for validation and test
  bool drop_last = false;  // leave out a last batch that is smaller (unless it is the only one)
};

class ImageBatches {
 public:
  // ValueError: no set or an empty one, batch < 1, statistics that are not finite; ShapeError:
  // statistics of another number of channels.
  ImageBatches(ImageSetPtr set, const ImageBatchOptions& options);

  const ImageSet& set() const { return *set_; }
  const ImageBatchOptions& options() const { return options_; }

  int64_t count(int64_t epoch) const;  // batches in this epoch
  // ValueError unless 0 <= index < count(epoch).
  ImageBatch get(int64_t epoch, int64_t index) const;
  ImageBatch make(std::span<const int64_t> rows, int64_t epoch) const;  // any rows, in this order

 private:
  using Plan = std::vector<int64_t>;  // rows in the order of the epoch
  Plan make_plan(int64_t epoch) const;

  ImageSetPtr set_;
  ImageBatchOptions options_;
  std::shared_ptr<EpochPlan<Plan>> plan_;
};

}  // namespace heed::data
