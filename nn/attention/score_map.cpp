#include <heed/nn/attention/score_map.h>

#include <limits>
#include <numeric>

#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/dropout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>

namespace heed::nn {

Tensor repeat_heads(const Tensor& x, int64_t heads) {
  int64_t kv = x.dim(1), group = heads / kv;
  if (group == 1) return x;
  Shape shared{x.dim(0), kv, group, x.dim(2), x.dim(3)};
  return broadcast_to(x.unsqueeze(2), shared).reshape({x.dim(0), heads, x.dim(2), x.dim(3)});
}

Tensor softmax_map(const Tensor& q, const Tensor& k, double scale, const Tensor& visible) {
  Tensor key_t = repeat_heads(k, q.dim(1)).transpose(2, 3);  // [B, H, D, S]
  Tensor scores = matmul(q * scale, key_t);                  // [B, H, R, S]
  double hidden = -std::numeric_limits<double>::infinity();
  return softmax(where(visible, scores, hidden), -1);  // [B, H, R, S]
}

std::vector<int64_t> all_rows(int64_t n) {
  std::vector<int64_t> rows(static_cast<size_t>(n));
  std::iota(rows.begin(), rows.end(), int64_t{0});
  return rows;
}

void check_rows(const std::vector<int64_t>& rows, int64_t queries, const char* who) {
  for (int64_t i : rows)
    if (i < 0 || i >= queries)
      throw ValueError(
          str(who, ": weights of row ", i, " asked for, there are ", queries, " queries"));
}

Tensor take_rows(const Tensor& x, const std::vector<int64_t>& rows, const char* who) {
  check_rows(rows, x.dim(2), who);
  return index_select(x, 2, rows);
}

Tensor join_runs(const std::vector<int64_t>& rows,
                 const std::function<Tensor(int64_t first, int64_t n)>& map, int64_t most) {
  if (rows.empty() || most < 1)
    throw ValueError(str("join_runs: at least one row, and one at a time, expected; got ",
                         rows.size(), " and ", most));
  std::vector<Tensor> parts;
  for (size_t r = 0; r < rows.size();) {
    int64_t first = rows[r], n = 0;
    while (r < rows.size() && rows[r] == first + n && n < most) ++n, ++r;
    parts.push_back(map(first, n));
  }
  return parts.size() == 1 ? parts[0] : concat(parts, 2);
}

Tensor map_times_values(const Attention& attention, const Tensor& q, const Tensor& k,
                        const Tensor& v, const AttentionCall& call) {
  Tensor map = attention.weights(q, k, call, all_rows(q.dim(2)));  // [B, H, T, S]
  return matmul(map, repeat_heads(call.mask.select_keys(v, 2), q.dim(1)));
}

Tensor drop_weights(const Tensor& map, const std::vector<int64_t>& rows, int64_t queries,
                    const AttentionCall& call) {
  if (call.dropout == 0) return map;
  Shape whole{map.dim(0), map.dim(1), queries, map.dim(3)};
  Tensor kept = dropout_mask(whole, call.dropout, call.random,
                             {.dtype = map.dtype(), .device = map.device()});
  return map * index_select(kept, 2, rows);
}

}  // namespace heed::nn
