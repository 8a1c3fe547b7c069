#include <heed/nn/attention/kv_cache.h>

#include <algorithm>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/index.h>
#include <heed/core/error.h>

namespace heed::nn {

KVCache::KVCache(int64_t batch, int64_t kv_heads, int64_t head_dim, int64_t value_dim,
                 int64_t capacity, DType dtype, Device device)
    : lengths_(static_cast<size_t>(std::max<int64_t>(batch, 0)), 0) {
  if (batch < 0 || capacity < 0)
    throw ValueError(
        str("KVCache: batch ", batch, " and capacity ", capacity, " must not be negative"));
  capacity = std::max<int64_t>(capacity, 16);
  // Zeros, not garbage: select and save copy the reserve too.
  k_ =
      Tensor(Array::zeros({batch, kv_heads, capacity, head_dim}, dtype, device));  // [B, Hkv, C, D]
  v_ = Tensor(
      Array::zeros({batch, kv_heads, capacity, value_dim}, dtype, device));  // [B, Hkv, C, E]
}

Tensor KVCache::lengths() const { return Tensor::from(lengths_, {batch()}); }

int64_t KVCache::longest() const {
  int64_t most = 0;
  for (int64_t n : lengths_) most = std::max(most, n);
  return most;
}

bool KVCache::uniform() const {
  for (int64_t n : lengths_)
    if (n != lengths_[0]) return false;
  return true;
}

Tensor KVCache::keys() const { return k_.slice(2, 0, longest()); }
Tensor KVCache::values() const { return v_.slice(2, 0, longest()); }

void KVCache::reserve(int64_t length) {
  if (length <= capacity()) return;
  int64_t used = longest(), larger = capacity();
  while (larger < length) larger *= 2;
  for (Tensor* t : {&k_, &v_}) {
    Shape shape = t->shape();
    shape[2] = larger;
    Tensor grown(Array::zeros(shape, t->dtype(), t->device()));
    grown.slice(2, 0, used).copy_(t->slice(2, 0, used));
    *t = grown;
  }
}

void KVCache::append(const Tensor& k, const Tensor& v, const Mask& mask) {
  NoGrad guard;
  if (k.dim(0) != batch())
    throw ShapeError(str("KVCache: ", k.dim(0), " rows of keys for a state of ", batch(), " rows"));
  if (k.dtype() != k_.dtype())
    throw DTypeError(str("KVCache: keys are ", k.dtype(), ", the state holds ", k_.dtype()));
  int64_t count = k.dim(2), most = 0;
  std::vector<int64_t> begin = to_integers(mask.terms().key_begin),
                       end = to_integers(mask.terms().key_end);
  begin.resize(lengths_.size(), 0);
  end.resize(lengths_.size(), count);
  bool together = uniform();
  for (size_t b = 0; b < lengths_.size(); ++b) {
    begin[b] = std::clamp<int64_t>(begin[b], 0, count);
    end[b] = std::clamp<int64_t>(end[b], begin[b], count);
    most = std::max(most, lengths_[b] + end[b] - begin[b]);
    together = together && begin[b] == begin[0] && end[b] == end[0];
  }
  if (lengths_.empty()) return;
  reserve(most);
  auto put = [&](int64_t first_row, int64_t rows, size_t b) {
    int64_t at = lengths_[b], n = end[b] - begin[b];
    if (n == 0) return;
    for (auto [cache, fresh] : {std::pair{&k_, &k}, std::pair{&v_, &v}}) {
      Tensor place = cache->slice(0, first_row, first_row + rows).slice(2, at, at + n);
      place.copy_(fresh->slice(0, first_row, first_row + rows).slice(2, begin[b], end[b]));
    }
  };
  if (together) put(0, batch(), 0);
  else
    for (size_t b = 0; b < lengths_.size(); ++b) put(static_cast<int64_t>(b), 1, b);
  for (size_t b = 0; b < lengths_.size(); ++b) lengths_[b] += end[b] - begin[b];
}

void KVCache::drop(int64_t row, int64_t begin, int64_t count) {
  NoGrad guard;
  int64_t& length = lengths_[static_cast<size_t>(row)];
  if (begin < 0 || count < 0 || begin + count > length)
    throw ValueError(str("KVCache: keys [", begin, ", ", begin + count, ") of row ", row,
                         ", which holds ", length));
  if (count == 0) return;
  for (Tensor* cache : {&k_, &v_}) {
    Tensor mine = cache->slice(0, row, row + 1);                 // [1, Hkv, C, D]
    Tensor rest = mine.slice(2, begin + count, length).clone();  // they may overlap
    mine.slice(2, begin, length - count).copy_(rest);
  }
  length -= count;
}

void KVCache::select(const Tensor& rows) {
  NoGrad guard;
  if (rows.rank() != 1) throw ShapeError(str("KVCache: rows [R] expected, got ", rows.shape()));
  std::vector<int64_t> index = to_integers(rows), chosen;
  bool same = index.size() == lengths_.size();
  for (size_t r = 0; r < index.size(); ++r) {
    if (index[r] < 0 || index[r] >= batch())
      throw ValueError(str("KVCache: row ", index[r], " asked for, the state has ", batch()));
    same = same && index[r] == static_cast<int64_t>(r);
    chosen.push_back(lengths_[static_cast<size_t>(index[r])]);
  }
  if (same) return;
  k_ = index_select(k_, 0, rows);  // [R, Hkv, C, D]
  v_ = index_select(v_, 0, rows);  // [R, Hkv, C, E]
  lengths_ = chosen;
}

std::unique_ptr<DecodeState> KVCache::clone() const {
  std::unique_ptr<KVCache> copy(new KVCache);
  copy->k_ = k_.clone();
  copy->v_ = v_.clone();
  copy->lengths_ = lengths_;
  return copy;
}

int64_t KVCache::bytes() const { return k_.array().bytes() + v_.array().bytes(); }

void KVCache::to(Device device) {
  if (!(device == k_.device()))
    throw DeviceError(
        str("KVCache: moving from ", k_.device(), " to ", device, " is not supported"));
}

StateDict KVCache::save() const {
  return {{"k", keys().clone()}, {"v", values().clone()}, {"lengths", lengths()}};
}

void KVCache::load(const StateDict& state) {
  for (const char* name : {"k", "v", "lengths"})
    if (!state.count(name))
      throw ValueError(str("KVCache: '", name, "' is missing in the saved state"));
  const Tensor &k = state.at("k"), &v = state.at("v"), &lengths = state.at("lengths");
  auto fits = [&](const Tensor& t, const Tensor& mine) {
    return t.rank() == 4 && t.dim(0) == k.dim(0) && t.dim(1) == mine.dim(1) &&
           t.dim(2) == k.dim(2) && t.dim(3) == mine.dim(3) && t.dtype() == k_.dtype();
  };
  bool good = k.rank() == 4 && fits(k, k_) && fits(v, v_) && lengths.rank() == 1 &&
              lengths.dim(0) == k.dim(0) && lengths.dtype() == DType::i64;
  std::vector<int64_t> values;
  if (good) values = to_integers(lengths);
  for (int64_t n : values) good = good && n >= 0 && n <= k.dim(2);
  if (!good)
    throw ValueError(str("KVCache: the saved state does not fit: k ", k.shape(), ", v ", v.shape(),
                         ", lengths ", lengths.shape(), " for keys ", k_.shape(), " and values ",
                         v_.shape(), " ", k_.dtype()));
  KVCache fresh(k.dim(0), k.dim(1), k.dim(3), v.dim(3), k.dim(2), k_.dtype(), k_.device());
  fresh.append(k, v, Mask::key_padding(values));
  *this = std::move(fresh);
}

}  // namespace heed::nn
