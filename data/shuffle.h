// A permutation that is a pure function of (seed, epoch).
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include <heed/core/random.h>

namespace heed::data {

// A generator whose numbers differ for every (seed, epoch, purpose).
inline Generator epoch_generator(uint64_t seed, int64_t epoch, uint32_t purpose) {
  auto block =
      philox({static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
             {static_cast<uint32_t>(epoch),
              static_cast<uint32_t>(static_cast<uint64_t>(epoch) >> 32), purpose, 0x65706f63});
  return Generator(uint64_t{block[1]} << 32 | block[0]);
}

// Fisher-Yates.
template <class T>
void shuffle(std::vector<T>& values, Generator& generator) {
  for (size_t i = values.size(); i > 1; --i) std::swap(values[i - 1], values[generator.integer(i)]);
}

}  // namespace heed::data
