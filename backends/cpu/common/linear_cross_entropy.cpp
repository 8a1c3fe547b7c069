#include <heed/backends/linear_cross_entropy.h>

#include <algorithm>

#include <heed/core/parallel.h>

namespace heed::kernels {

// Many rows make the products efficient (BLAS packs the weights again for each chunk of rows); few
// rows keep the chunk's logits in cache: 256 rows of 9,000 classes take 9 MB, which the threads'
// caches share.
LinearCrossEntropyPlan linear_cross_entropy_plan(int64_t rows, int64_t size, int64_t classes,
                                                 DType dtype) {
  constexpr int64_t kLogitBytes = int64_t{10} << 20, kMinRows = 32, kMaxRows = 256, kBlock = 512,
                    kMinPiece = 64;
  auto element = static_cast<int64_t>(size_of(dtype));
  LinearCrossEntropyPlan plan;
  plan.rows =
      std::clamp(kLogitBytes / (element * std::max<int64_t>(classes, 1)), kMinRows, kMaxRows);
  plan.rows = std::max<int64_t>(1, std::min(plan.rows, rows));
  plan.block = kBlock;
  plan.pieces = std::clamp<int64_t>(classes / kMinPiece, 1, num_threads());
  int64_t blocks = classes / kBlock + plan.pieces;
  int64_t elements =
      plan.rows * (size + classes + 3 * blocks + 4 + plan.pieces * size) + plan.pieces * kBlock;
  plan.scratch = rows * 8 + elements * element + 64;
  return plan;
}

}  // namespace heed::kernels
