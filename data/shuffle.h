// A permutation that is a pure function of (seed, epoch).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <heed/data/keyed_generator.h>

namespace heed::data {

// A generator whose numbers differ for every (seed, epoch, purpose).
inline Generator epoch_generator(uint64_t seed, int64_t epoch, uint32_t purpose) {
  return keyed_generator(seed, epoch, purpose, 0x65706f63);
}

// Fisher-Yates.
template <class T>
void shuffle(std::vector<T>& values, Generator& generator) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[generator.integer(i)]);
}

}  // namespace heed::data
