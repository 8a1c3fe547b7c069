#include <heed/nn/attention/kv_cache.h>

#include <algorithm>

#include <heed/autograd/grad_mode.h>
#include <heed/core/error.h>

namespace heed::nn {

namespace {

constexpr int64_t kLeastCapacity = 16;

}  // namespace

KVCache::KVCache(const char* name, int64_t batch, int64_t kv_heads, int64_t head_dim,
                 int64_t value_dim, int64_t capacity, DType dtype, Device device)
    : DecodeState(name, batch, /*token_axis=*/2) {
  if (capacity < 0) throw ValueError(str(name, ": capacity ", capacity, " must not be negative"));
  capacity = std::max(capacity, kLeastCapacity);
  // Zeros, not uninitialised memory, since select copies the reserve too.
  for (auto [key, width] : {std::pair{"k", head_dim}, {"v", value_dim}})
    tensors_[key] = Tensor(Array::zeros({batch, kv_heads, capacity, width}, dtype, device));
}

KVCache::KVCache(int64_t batch, int64_t kv_heads, int64_t head_dim, int64_t value_dim,
                 int64_t capacity, DType dtype, Device device)
    : KVCache("KVCache", batch, kv_heads, head_dim, value_dim, capacity, dtype, device) {}

Tensor KVCache::keys() const { return tensors_.at("k").slice(2, 0, held_.max()); }
Tensor KVCache::values() const { return tensors_.at("v").slice(2, 0, held_.max()); }

void KVCache::reserve(int64_t length) {
  if (length <= capacity()) return;
  int64_t used = held_.max(), larger = std::max(capacity(), kLeastCapacity);
  while (larger < length) larger *= 2;
  StateDict fresh;
  for (const auto& [name, tensor] : tensors_) {
    Shape shape = tensor.shape();
    shape[2] = larger;
    Tensor grown(Array::zeros(shape, tensor.dtype(), tensor.device()));
    grown.slice(2, 0, used).copy_(tensor.slice(2, 0, used));
    fresh[name] = grown;
  }
  tensors_.swap(fresh);
}

void KVCache::append(const Tensor& k, const Tensor& v, const Mask& mask) {
  NoGrad guard;
  if (batch() == 0) return;
  Ranges fresh = mask.key_ranges(batch(), k.dim(2));
  int64_t most = 0;
  for (int64_t b = 0; b < batch(); ++b) most = std::max(most, held_[b] + fresh.size(b));
  reserve(most);
  auto put = [&](int64_t first_row, int64_t rows) {
    const size_t b = static_cast<size_t>(first_row);
    int64_t at = held_[first_row], n = fresh.size(first_row);
    if (n == 0) return;
    for (auto [cache, x] : {std::pair{&tensors_.at("k"), &k}, {&tensors_.at("v"), &v}}) {
      Tensor place = cache->slice(0, first_row, first_row + rows).slice(2, at, at + n);
      place.copy_(x->slice(0, first_row, first_row + rows).slice(2, fresh.begin[b], fresh.end[b]));
    }
  };
  if (held_.all_equal() && fresh.equal) put(0, batch());
  else
    for (int64_t b = 0; b < batch(); ++b) put(b, 1);
  count_keys(mask, k.dim(2));
}

void KVCache::drop(int64_t row, int64_t begin, int64_t count) {
  NoGrad guard;
  std::vector<int64_t> held = held_.values();
  int64_t& length = held[static_cast<size_t>(row)];
  if (begin < 0 || count < 0 || begin + count > length)
    throw ValueError(str(name_, ": keys [", begin, ", ", begin + count, ") of row ", row,
                         ", which holds ", length));
  if (count == 0) return;
  std::vector<std::pair<Tensor, Tensor>> moves;  // all that needs memory, before the first change
  for (auto& [name, tensor] : tensors_) {
    Tensor mine = tensor.slice(0, row, row + 1);                 // [1, Hkv, C, D]
    Tensor rest = mine.slice(2, begin + count, length).clone();  // they may overlap
    moves.emplace_back(mine.slice(2, begin, length - count), rest);
  }
  length -= count;
  Lengths after = held;
  for (auto& [place, rest] : moves) place.copy_(rest);
  held_ = std::move(after);
}

}  // namespace heed::nn
