// Helpers for weights() of the variants, and for variants composed of softmax maps.
#pragma once

#include <functional>
#include <limits>
#include <vector>

#include <heed/autograd/tensor.h>
#include <heed/nn/attention/attention.h>

namespace heed::nn {

// x [B, Hkv, S, D] -> [B, H, S, D]: each key head repeated for its H / Hkv consecutive query heads.
Tensor repeat_heads(const Tensor& x, int64_t heads);

// softmax(scale q k^T) over the keys that `visible` [B or 1, H or 1, R, S] keeps: [B, H, R, S].
// q [B, H, R, D] and k [B, Hkv, S, D] must be finite. A row that sees nothing gives zeros.
Tensor softmax_map(const Tensor& q, const Tensor& k, double scale, const Tensor& visible);

// 0, 1, .. n - 1: the rows of all n queries.
std::vector<int64_t> all_rows(int64_t n);
// ValueError (with `who`) if a row is not one of the queries.
void check_rows(const std::vector<int64_t>& rows, int64_t queries, const char* who);
// The given rows of x [B, H, T, ..] along axis 2, checked.
Tensor take_rows(const Tensor& x, const std::vector<int64_t>& rows, const char* who);
// The given rows of a map, at least one: map(first, n) is the rows [first, first + n) [B, H, n, S].
// Consecutive rows are computed together, at most `most` of them.
Tensor join_runs(const std::vector<int64_t>& rows,
                 const std::function<Tensor(int64_t first, int64_t n)>& map,
                 int64_t most = std::numeric_limits<int64_t>::max());  // [B, H, R, S]
// What forward is by definition where nothing is dropped: the attention's map times v.
Tensor map_times_values(const Attention& attention, const Tensor& q, const Tensor& k,
                        const Tensor& v, const AttentionCall& call);  // [B, H, T, E]
// `map` [B, H, R, S], the given rows of T queries, after the call's dropout as forward() draws it.
Tensor drop_weights(const Tensor& map, const std::vector<int64_t>& rows, int64_t queries,
                    const AttentionCall& call);

}  // namespace heed::nn
