#include <heed/nn/attention/prefix_softmax.h>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/prefix_product.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/prefix.h>

namespace heed::nn {

namespace {

constexpr int64_t kChunk = kPrefixChunk;

// A constant: the result does not depend on the reference.
Tensor block_max(const Tensor& k, int axis) {
  NoGrad guard;
  return max(k.detach(), axis, true);
}

// x [B, Hkv, G, L, X] as blocks of 2 h rows, of which `which` takes the first or the second half:
// [B, Hkv, G, L / 2h, h, X].
Tensor half(const Tensor& x, int64_t h, int64_t which) {
  Shape s = x.shape();
  return select(x.reshape({s[0], s[1], s[2], s[3] / (2 * h), 2, h, s[4]}), 4, which);
}

// The inverse for second halves, with zeros in the first halves.
Tensor from_second_halves(const Tensor& x, int64_t rows) {
  Tensor both = pad(x.unsqueeze(4), 4, 1, 0);  // [B, Hkv, G, L / 2h, 2, h, X]
  return both.reshape({x.dim(0), x.dim(1), x.dim(2), rows, x.dim(5)});
}

// The sums before each chunk, and the maximum they are relative to.
struct Carried {
  Tensor sums;  // [B, Hkv, n, D, E + 1]
  Tensor top;   // [B, Hkv, n, 1, D], constant
};

Carried carry(const Tensor& k, const Tensor& values, const KeySums* before) {
  int64_t n = k.dim(2);              // k [B, Hkv, n, C, D], values [B, Hkv, n, C, E + 1]
  Tensor own_top = block_max(k, 3);  // [B, Hkv, n, 1, D]
  Tensor own = matmul(exp(k - own_top).transpose(3, 4), values);  // [B, Hkv, n, D, E + 1]
  Tensor top, sums;  // [B, Hkv, 1, 1, D], [B, Hkv, 1, D, E + 1]
  if (before) {
    top = before->top.transpose(2, 3).unsqueeze(2).detach();
    sums = before->sums.unsqueeze(2);
  } else {
    top = k.new_full({k.dim(0), k.dim(1), 1, 1, k.dim(4)}, lowest(k.dtype()));
    sums = k.new_zeros({k.dim(0), k.dim(1), 1, k.dim(4), values.dim(4)});
  }
  std::vector<Tensor> all_tops, all_sums;
  for (int64_t c = 0; c < n; ++c) {
    all_tops.push_back(top), all_sums.push_back(sums);
    if (c + 1 == n) break;
    Tensor fresh_top = own_top.slice(2, c, c + 1), higher = maximum(top, fresh_top);
    auto factor = [&](const Tensor& from) { return exp(from - higher).transpose(3, 4); };
    sums = sums * factor(top) + own.slice(2, c, c + 1) * factor(fresh_top);
    top = higher;
  }
  return {concat(all_sums, 2), concat(all_tops, 2)};
}

}  // namespace

Tensor inverse(const Tensor& z) {
  Tensor none = equal(z, 0);
  return where(none, 0.0, reciprocal(where(none, 1.0, z)));
}

KeySums channel_sums(const Tensor& k, const Tensor& values) {
  Tensor top = k.dim(2) > 0 ? block_max(k, 2)
                            : k.new_full({k.dim(0), k.dim(1), 1, k.dim(3)}, lowest(k.dtype()));
  return {matmul(exp(k - top).transpose(2, 3), values), top.transpose(2, 3)};
}

Tensor prefix_softmax(const Tensor& g, const Tensor& k_in, const Tensor& values_in,
                      const KeySums* before) {
  int64_t b = g.dim(0), kv = g.dim(1), group = g.dim(2), length = g.dim(3), d = g.dim(4);
  int64_t e = values_in.dim(3) - 1, n = (length + kChunk - 1) / kChunk, rows = n * kChunk;
  Tensor k = pad(k_in, 2, 0, rows - length, lowest(k_in.dtype()));  // [B, Hkv, L', D]
  Tensor values = pad(values_in, 2, 0, rows - length);              // [B, Hkv, L', E + 1]
  Tensor chunks = k.reshape({b, kv, n, kChunk, d});
  Carried carried = carry(chunks, values.reshape({b, kv, n, kChunk, e + 1}), before);

  Tensor top;  // m: [B, Hkv, 1, L', D]
  {
    NoGrad guard;
    top = maximum(running_max(chunks.detach(), 3), carried.top).reshape({b, kv, 1, rows, d});
  }
  k = k.unsqueeze(2), values = values.unsqueeze(2);    // [B, Hkv, 1, L', .]
  Tensor counts = values.slice(4, e, e + 1).detach();  // [B, Hkv, 1, L', 1]
  Tensor v = values.slice(4, 0, e);                    // [B, Hkv, 1, L', E]

  // Denominators first: the row's own key, the carried sums, and the blocks before it.
  Tensor own = exp(k - top);  // [B, Hkv, 1, L', D]
  Tensor top_chunks = top.reshape({b, kv, n, kChunk, d});
  Tensor from_carried = exp(carried.top - top_chunks);                 // [B, Hkv, n, C, D]
  Tensor carried_z = carried.sums.slice(4, e, e + 1).transpose(3, 4);  // [B, Hkv, n, 1, D]
  Tensor z = own * counts + (from_carried * carried_z).reshape({b, kv, 1, rows, d});
  std::vector<Tensor> keys, factors;
  for (int64_t h = 1; h < kChunk; h *= 2) {
    Tensor block = half(k, h, 0), reference = block_max(block, 4);
    keys.push_back(exp(block - reference));               // [B, Hkv, 1, L' / 2h, h, D]
    factors.push_back(exp(reference - half(top, h, 1)));  // the same
    Tensor total = matmul(half(counts, h, 0).transpose(4, 5), keys.back());  // [.., 1, D]
    z = z + from_second_halves(factors.back() * total, rows);
  }

  Tensor q = pad(g, 3, 0, rows - length) * inverse(z);  // [B, Hkv, G, L', D]
  Tensor out = sum(q * own, {4}, true) * v;             // [B, Hkv, G, L', E]
  Tensor old = matmul(q.reshape({b, kv, group, n, kChunk, d}) * from_carried.unsqueeze(2),
                      carried.sums.slice(4, 0, e).unsqueeze(2));  // [B, Hkv, G, n, C, E]
  out = out + old.reshape({b, kv, group, rows, e});
  size_t level = 0;
  for (int64_t h = 1; h < kChunk; h *= 2, ++level) {
    Tensor scores = matmul(half(q, h, 1) * factors[level],
                           keys[level].transpose(4, 5));  // [B, Hkv, G, L' / 2h, h, h]
    out = out + from_second_halves(matmul(scores, half(v, h, 0)), rows);
  }
  return out.slice(3, 0, length);
}

int64_t prefix_softmax_flops(int64_t length, int64_t d, int64_t e, int64_t heads, int64_t kv_heads,
                             bool before, Pass pass) {
  int64_t rows = (length + kChunk - 1) / kChunk * kChunk, levels = 0;
  for (int64_t h = 1; h < kChunk; h *= 2) ++levels;
  int64_t own = 2 * rows * d * (e + 1) * kv_heads;         // the sums of each chunk
  int64_t counts = levels * rows * d * kv_heads;           // denominators of the blocks
  int64_t inside = (kChunk - 1) * rows * (d + e) * heads;  // blocks meet queries, and values
  int64_t old = 2 * rows * d * e * heads;                  // queries meet the carried sums
  if (pass == Pass::forward) return own + counts + inside + old;
  // Each product has two gradients, or one if an operand is constant: the counts, and the carried
  // sums if nothing comes before the only chunk. Then no later chunk uses its own sums either.
  bool several = rows > kChunk;
  return 2 * inside + counts + (several ? 2 * own : 0) + (several || before ? 2 : 1) * old;
}

}  // namespace heed::nn
