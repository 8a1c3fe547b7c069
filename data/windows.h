// A long stream of tokens cut into windows, for language models.
//
// Window w of an epoch: inputs = stream[p + wT .. p + wT + T), targets = the same moved on by one.
// The phase p is 0 without shuffle, else drawn from [0, T) for every epoch, so that the cuts move.
// The order of windows is shuffled. Both are pure functions of (seed, epoch). The last batch of an
// epoch may have fewer rows; what is left behind the last full window (fewer than T tokens) is not
// used in that epoch.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <heed/core/array.h>

namespace heed::data {

template <class Plan>
class EpochPlan;

struct TokenBatch {
  Array inputs;   // [B, T] i64
  Array targets;  // [B, T] i64
};

struct WindowOptions {
  int64_t batch = 16;    // B
  int64_t length = 128;  // T
  uint64_t seed = 0;
  bool shuffle = true;
  int64_t vocab = 0;  // all ids are below; 0: not known
};

class TokenWindows {
 public:
  // ValueError: fewer than T + 1 tokens, an id outside the vocabulary, options below 1.
  TokenWindows(std::vector<int64_t> stream, const WindowOptions& options);
  int64_t tokens() const { return static_cast<int64_t>(stream_.size()); }
  int64_t count(int64_t epoch) const;  // batches in this epoch
  // ValueError unless 0 <= index < count(epoch).
  TokenBatch get(int64_t epoch, int64_t index) const;
  int64_t tokens(int64_t epoch, int64_t index) const;  // targets in that batch

 private:
  using Plan = std::vector<int64_t>;  // where each window begins
  Plan make_plan(int64_t epoch) const;
  std::shared_ptr<const Plan> plan(int64_t epoch) const;

  std::vector<int64_t> stream_;
  WindowOptions options_;
  std::shared_ptr<EpochPlan<Plan>> plan_;
};

}  // namespace heed::data
