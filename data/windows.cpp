#include <heed/data/windows.h>

#include <algorithm>

#include <heed/core/error.h>
#include <heed/data/epoch_plan.h>
#include <heed/data/ids.h>
#include <heed/data/shuffle.h>

namespace heed::data {

TokenWindows::TokenWindows(std::vector<int64_t> stream, const WindowOptions& options)
    : stream_(std::move(stream)), options_(options), plan_(std::make_shared<EpochPlan<Plan>>()) {
  if (options.batch < 1 || options.length < 1)
    throw ValueError(str("TokenWindows: batch and length >= 1 expected, got ", options.batch,
                         " and ", options.length));
  if (tokens() <= options.length)
    throw ValueError(str("TokenWindows: at least ", options.length + 1,
                         " tokens expected for windows of ", options.length, ", got ", tokens()));
  require_ids(stream_, options.vocab, [] { return "TokenWindows: the stream"; });
}

std::shared_ptr<const TokenWindows::Plan> TokenWindows::plan(int64_t epoch) const {
  if (epoch < 0) throw ValueError(str("TokenWindows: epoch >= 0 expected, got ", epoch));
  return plan_->get(epoch, [&] { return make_plan(epoch); });
}

TokenWindows::Plan TokenWindows::make_plan(int64_t epoch) const {
  Generator generator = epoch_generator(options_.seed, epoch, 2);
  int64_t length = options_.length,
          last = tokens() - 1 - length;  // the last place where a window may begin
  int64_t phase = options_.shuffle ? static_cast<int64_t>(generator.integer(
                                         static_cast<uint64_t>(std::min(length - 1, last) + 1)))
                                   : 0;
  Plan begins;
  for (int64_t at = phase; at <= last; at += length) begins.push_back(at);
  if (options_.shuffle) shuffle(begins, generator);
  return begins;
}

int64_t TokenWindows::count(int64_t epoch) const {
  return (static_cast<int64_t>(plan(epoch)->size()) + options_.batch - 1) / options_.batch;
}

int64_t TokenWindows::tokens(int64_t epoch, int64_t index) const {
  if (index < 0 || index >= count(epoch))
    throw ValueError(str("TokenWindows: batch ", index, " of ", count(epoch), " in epoch ", epoch));
  auto windows = static_cast<int64_t>(plan(epoch)->size());
  return std::min(options_.batch, windows - index * options_.batch) * options_.length;
}

TokenBatch TokenWindows::get(int64_t epoch, int64_t index) const {
  int64_t length = options_.length;
  int64_t rows = tokens(epoch, index) / length;  // checks the index, too
  int64_t first = index * options_.batch;
  auto begins = plan(epoch);
  TokenBatch batch{Array::empty({rows, length}, DType::i64, kCpu),
                   Array::empty({rows, length}, DType::i64, kCpu)};
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t* at = stream_.data() + (*begins)[static_cast<size_t>(first + i)];
    std::copy(at, at + length, batch.inputs.data<int64_t>() + i * length);
    std::copy(at + 1, at + length + 1, batch.targets.data<int64_t>() + i * length);
  }
  return batch;
}

}  // namespace heed::data
