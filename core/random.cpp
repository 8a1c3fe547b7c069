#include <heed/core/random.h>

#include <cmath>

#include <heed/core/parallel.h>

namespace heed {

std::array<uint32_t, 4> philox(std::array<uint32_t, 2> key, std::array<uint32_t, 4> c) {
  for (int round = 0; round < 10; ++round) {
    uint64_t a = uint64_t{0xD2511F53} * c[0], b = uint64_t{0xCD9E8D57} * c[2];
    c = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ key[0], static_cast<uint32_t>(b),
         static_cast<uint32_t>(a >> 32) ^ c[3] ^ key[1], static_cast<uint32_t>(a)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return c;
}

std::array<uint32_t, 4> philox(uint64_t seed, uint64_t counter) {
  return philox({static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)},
                {static_cast<uint32_t>(counter), static_cast<uint32_t>(counter >> 32), 0, 0});
}

RandomKey Generator::take(int64_t numbers) {
  RandomKey key{seed_, offset_};
  offset_ += static_cast<uint64_t>((numbers + 3) / 4);
  return key;
}

static uint64_t bits64(RandomKey key) {
  auto block = philox(key.seed, key.offset);
  return (uint64_t{block[1]} << 32) | block[0];
}

uint64_t Generator::integer(uint64_t bound) {
  if (bound == 0) throw ValueError("Generator::integer: bound is 0");
  // A multiple of bound, minus one: larger numbers would favour small results.
  uint64_t limit = ~uint64_t{0} - (~uint64_t{0} % bound + 1) % bound;
  uint64_t bits;
  do bits = bits64(take(4));
  while (bits > limit);
  return bits % bound;
}

double Generator::uniform() { return static_cast<double>(bits64(take(4)) >> 11) * 0x1p-53; }

// sin and cos of pi x for x in [0, 2), reduced exactly to [0, 1/4], so that they are the same on
// every device within rounding (cos(2 pi u) would carry the rounding of 2 pi u).
static void sincospi(double x, double* s, double* c) {
  int quadrant = static_cast<int>(x * 2);
  double r = (x - quadrant * 0.5) * M_PI;
  double sr = std::sin(r), cr = std::cos(r);
  switch (quadrant & 3) {
      // clang-format off
    case 0: *s = sr; *c = cr; break;
    case 1: *s = cr; *c = -sr; break;
    case 2: *s = -sr; *c = -cr; break;
    default: *s = -cr; *c = sr;
      // clang-format on
  }
}

// From two 32-bit numbers: radius sqrt(-2 log u), u in (0, 1]; angle 2 pi w, w in [0, 1).
static void normal_pair(uint32_t a, uint32_t b, double* x, double* y) {
  double u = (static_cast<double>(a) + 1) * 0x1p-32, w = static_cast<double>(b) * 0x1p-32;
  double radius = std::sqrt(-2 * std::log(u));
  sincospi(2 * w, y, x);
  *x *= radius;
  *y *= radius;
}

double Generator::normal() {
  auto block = philox(seed_, take(4).offset);
  double x, y;
  normal_pair(block[0], block[1], &x, &y);
  return x;
}

Generator& default_generator() {
  static Generator generator;
  return generator;
}
void manual_seed(uint64_t seed) { default_generator().set_state(seed, 0); }

namespace {
template <class T, class Block>
void fill_blocks(T* out, int64_t n, RandomKey key, Block block) {
  parallel_for((n + 3) / 4, 1024, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      double values[4];
      block(philox(key.seed, key.offset + static_cast<uint64_t>(i)), values);
      for (int64_t lane = 0; lane < 4 && 4 * i + lane < n; ++lane)
        if constexpr (std::is_same_v<T, bfloat16>)
          out[4 * i + lane] = to_bfloat16(static_cast<float>(values[lane]));
        else out[4 * i + lane] = static_cast<T>(values[lane]);
    }
  });
}

template <class Block>
Array random_array(const Shape& shape, DType dtype, RandomKey key, const char* name, Block block) {
  Array out = Array::empty(shape, dtype, kCpu);
  switch (dtype) {
    case DType::f32: fill_blocks(out.data<float>(), out.numel(), key, block); break;
    case DType::f64: fill_blocks(out.data<double>(), out.numel(), key, block); break;
    case DType::bf16: fill_blocks(out.data<bfloat16>(), out.numel(), key, block); break;
    default: refuse_dtype(name, dtype);
  }
  return out;
}
}  // namespace

Array random_uniform(const Shape& shape, double low, double high, RandomKey key, DType dtype) {
  return random_array(shape, dtype, key, "random_uniform",
                      [&](std::array<uint32_t, 4> b, double* v) {
                        for (int i = 0; i < 4; ++i) v[i] = low + (high - low) * to_uniform(b[i]);
                      });
}

Array random_normal(const Shape& shape, double mean, double std, RandomKey key, DType dtype) {
  return random_array(shape, dtype, key, "random_normal",
                      [&](std::array<uint32_t, 4> b, double* v) {
                        normal_pair(b[0], b[1], v, v + 1);
                        normal_pair(b[2], b[3], v + 2, v + 3);
                        for (int i = 0; i < 4; ++i) v[i] = mean + std * v[i];
                      });
}

}  // namespace heed
