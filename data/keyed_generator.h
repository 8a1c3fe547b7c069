// Random numbers for one thing of many (an epoch, a picture): a generator whose numbers are a pure
// function of (seed, number, a, b) and differ for each of them. Internal to data/.
#pragma once

#include <cstdint>

#include <heed/core/random.h>

namespace heed::data {

inline Generator keyed_generator(uint64_t seed, int64_t number, uint32_t a, uint32_t b) {
  auto block = philox({static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
                      {static_cast<uint32_t>(number),
                       static_cast<uint32_t>(static_cast<uint64_t>(number) >> 32), a, b});
  return Generator(uint64_t{block[1]} << 32 | block[0]);
}

}  // namespace heed::data
