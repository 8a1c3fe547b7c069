// Random numbers by counter: Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy
// as 1, 2, 3"). Element i of a call is lane i % 4 of the block with counter offset + i / 4, so any
// kernel can draw any element again. Integers and uniforms are the same bits on every device.
#pragma once

#include <array>
#include <cstdint>

#include <heed/core/array.h>

namespace heed {

// All randomness of one call.
struct RandomKey {
  uint64_t seed = 0;
  uint64_t offset = 0;  // in blocks of four numbers
};

// One block: key = seed (low word first), counter = {low, high of `counter`, 0, 0}.
std::array<uint32_t, 4> philox(uint64_t seed, uint64_t counter);
std::array<uint32_t, 4> philox(std::array<uint32_t, 2> key, std::array<uint32_t, 4> counter);

// [0, 1): the upper 24 bits.
inline float to_uniform(uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

// A seed and a position. `take` reserves numbers; the state is what a checkpoint saves.
class Generator {
 public:
  explicit Generator(uint64_t seed = 0) : seed_(seed) {}
  RandomKey take(int64_t numbers);  // rounds up to whole blocks
  // Conveniences for host code (shuffles, sampling); each takes one block.
  uint64_t integer(uint64_t bound);  // uniform in [0, bound), unbiased; ValueError when bound = 0
  double uniform();                  // [0, 1), 53 bits
  double normal();
  uint64_t seed() const { return seed_; }
  uint64_t offset() const { return offset_; }
  void set_state(uint64_t seed, uint64_t offset) {
    seed_ = seed;
    offset_ = offset;
  }

 private:
  uint64_t seed_;
  uint64_t offset_ = 0;
};

// The generator that initializers and dropout use when none is given.
Generator& default_generator();
void manual_seed(uint64_t seed);

// On the CPU; f32, f64 or bf16 (f32's numbers, rounded, so `high` itself may occur). Box-Muller
// with cospi/sinpi: element pair (2j, 2j+1) comes from the same two numbers.
Array random_uniform(const Shape& shape, double low, double high, RandomKey key,
                     DType dtype = DType::f32);
Array random_normal(const Shape& shape, double mean, double std, RandomKey key,
                    DType dtype = DType::f32);

}  // namespace heed
