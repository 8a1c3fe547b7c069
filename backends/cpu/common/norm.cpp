#include <heed/backends/norm.h>

#include <algorithm>

#include <heed/core/parallel.h>

namespace heed::kernels {

int64_t norm_pieces(const Shape& shape) {
  constexpr int64_t kGrain = 16384;
  int64_t size = shape[shape.rank() - 1], rows = size == 0 ? 0 : shape.numel() / size;
  int64_t useful = std::min(rows, (shape.numel() + kGrain - 1) / kGrain);
  return std::clamp<int64_t>(useful, 1, num_threads());
}

}  // namespace heed::kernels
