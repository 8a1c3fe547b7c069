#include <heed/backends/best_tokens.h>

#include <algorithm>
#include <limits>

#include <heed/core/parallel.h>

namespace heed::kernels::common {
namespace {

struct Entry {
  double token, log_probability;
};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Keeps the k largest logits of a row, in order, in one pass.
void best_of_row(const float* logits, int64_t vocabulary, const int64_t* forbidden,
                 const int64_t* forbidden_end, Entry* best, int64_t k) {
  int64_t count = 0;
  float threshold = -kInfinity;
  for (int64_t v = 0; v < vocabulary; ++v) {
    const float value = logits[v];
    if (!(value > threshold) || std::binary_search(forbidden, forbidden_end, v)) continue;
    int64_t at = std::min(count, k - 1);
    for (; at > 0 && value > best[at - 1].log_probability; --at) best[at] = best[at - 1];
    best[at] = {static_cast<double>(v), value};
    count = std::min(count + 1, k);
    if (count == k) threshold = static_cast<float>(best[k - 1].log_probability);
  }
  std::fill(best + count, best + k, Entry{-1, 0});
}

}  // namespace

void best_tokens(const Array& logits, const Array& log_sum, const Array& forbidden_begin,
                 const Array& forbidden, const Array& best) {
  const int64_t rows = logits.dim(0), vocabulary = logits.dim(1), k = best.dim(1);
  const int64_t *begin = forbidden_begin.data<int64_t>(), *tokens = forbidden.data<int64_t>();
  auto* out = reinterpret_cast<Entry*>(best.data<double>());
  if (k == 0) return;
  parallel_for(rows, 1 + 16384 / std::max<int64_t>(vocabulary, 1), [&](int64_t from, int64_t to) {
    for (int64_t r = from; r < to; ++r) {
      const float total = log_sum.data<float>()[r];
      best_of_row(logits.data<float>() + r * vocabulary, vocabulary, tokens + begin[r],
                  tokens + begin[r + 1], out + r * k, k);
      for (Entry* e = out + r * k; e < out + (r + 1) * k; ++e)
        e->log_probability = total < kInfinity ? e->log_probability - static_cast<double>(total)
                                               : std::numeric_limits<double>::quiet_NaN();
    }
  });
}

}  // namespace heed::kernels::common
