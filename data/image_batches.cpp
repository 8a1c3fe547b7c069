#include <heed/data/image_batches.h>

#include <algorithm>
#include <numeric>

#include <heed/core/error.h>
#include <heed/data/channel_scale.h>
#include <heed/data/epoch_plan.h>
#include <heed/data/shuffle.h>

namespace heed::data {

ImageBatches::ImageBatches(ImageSetPtr set, const ImageBatchOptions& options)
    : set_(std::move(set)), options_(options), plan_(std::make_shared<EpochPlan<Plan>>()) {
  if (!set_ || set_->size() < 1) throw ValueError("ImageBatches: no images given");
  if (options.batch < 1)
    throw ValueError(str("ImageBatches: batch >= 1 expected, got ", options.batch));
  channel_scale(options.statistics, set_->image_shape()[0]);
}

ImageBatches::Plan ImageBatches::make_plan(int64_t epoch) const {
  Plan rows(static_cast<size_t>(set_->size()));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  if (options_.shuffle) {
    Generator generator = epoch_generator(options_.seed, epoch, 3);
    shuffle(rows, generator);
  }
  return rows;
}

int64_t ImageBatches::count(int64_t epoch) const {
  if (epoch < 0) throw ValueError(str("ImageBatches: epoch >= 0 expected, got ", epoch));
  int64_t whole = set_->size() / options_.batch;
  bool rest = set_->size() % options_.batch != 0 && (!options_.drop_last || whole == 0);
  return whole + rest;
}

ImageBatch ImageBatches::get(int64_t epoch, int64_t index) const {
  if (index < 0 || index >= count(epoch))
    throw ValueError(str("ImageBatches: batch ", index, " of ", count(epoch), " in epoch ", epoch));
  auto rows = plan_->get(epoch, [&] { return make_plan(epoch); });
  int64_t begin = index * options_.batch, end = std::min(begin + options_.batch, set_->size());
  return make(
      std::span(*rows).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin)),
      epoch);
}

ImageBatch ImageBatches::make(std::span<const int64_t> rows, int64_t epoch) const {
  if (rows.empty()) throw ValueError("ImageBatches: a batch of no rows");
  Shape shape = set_->image_shape();
  ChannelScale scale = channel_scale(options_.statistics, shape[0]);
  shape.insert(0, static_cast<int64_t>(rows.size()));
  ImageBatch batch{Array::empty(shape, DType::f32, kCpu), {}, {rows.begin(), rows.end()}};
  for (size_t i = 0; i < rows.size(); ++i) {
    int64_t row = rows[i];
    if (row < 0 || row >= set_->size())
      throw ValueError(str("ImageBatches: row ", row, " of ", set_->size()));
    Array image = batch.images.select(0, static_cast<int64_t>(i));
    normalise_into(set_->image(row), scale, image);
    augment(image, options_.augmentation, options_.seed, epoch, row);
    batch.labels.push_back(set_->label(row));
  }
  return batch;
}

}  // namespace heed::data
