#include <heed/nn/attention/landmarks.h>

#include <algorithm>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/mask.h>

namespace heed::nn {

namespace {

// x [B, H, n, D] -> [B, H, m, D]; the first n % m segments have one token more.
Tensor means_of_all(const Tensor& x, int64_t m) {
  int64_t n = x.dim(2), less = n / m, longer = n % m;
  auto part = [&](int64_t begin, int64_t segments, int64_t size) {
    Tensor y = x.slice(2, begin, begin + segments * size);
    return mean(y.reshape({x.dim(0), x.dim(1), segments, size, x.dim(3)}), {3});
  };
  if (less == 1 && longer == 0) return x;
  if (longer == 0) return part(0, m, less);
  Tensor first = part(0, longer, less + 1);  // [B, H, n % m, D]
  return concat({first, part(longer * (less + 1), m - longer, less)}, 2);
}

// Z [.., c, r] after `iterations` more.
Tensor iterate(const Tensor& w, Tensor z, int64_t iterations) {
  Tensor one = eye(w.dim(-2), w.dtype());
  for (int64_t i = 0; i < iterations; ++i) {
    Tensor wz = matmul(w, z);        // [.., r, r]
    Tensor t = 7.0 * one - wz;       // [.., r, r]
    t = 15.0 * one - matmul(wz, t);  // [.., r, r]
    t = 13.0 * one - matmul(wz, t);  // [.., r, r]
    z = matmul(z, t) * 0.25;         // [.., c, r]
  }
  return z;
}

}  // namespace

Tensor Landmarks::end() const {
  if (equal) return Tensor();
  return Tensor::from(count, {static_cast<int64_t>(count.size())});
}

Landmarks segment_means(const Tensor& x, const Tensor& begin, const Tensor& end, int64_t most) {
  int64_t batch = x.dim(0), tokens = x.dim(2);
  std::vector<int64_t> first = to_integers(begin), last = to_integers(end);
  first.resize(static_cast<size_t>(batch), 0);
  last.resize(static_cast<size_t>(batch), tokens);
  Landmarks out;
  bool same_range = true;
  int64_t m = 0;
  for (size_t b = 0; b < first.size(); ++b) {
    first[b] = std::clamp<int64_t>(first[b], 0, tokens);
    last[b] = std::clamp<int64_t>(last[b], first[b], tokens);
    out.count.push_back(std::min(most, last[b] - first[b]));
    m = std::max(m, out.count[b]);
    same_range = same_range && first[b] == first[0] && last[b] == last[0];
  }
  if (m == 0) {
    out.means = x.slice(2, 0, 0);  // [B, H, 0, D]
    return out;
  }
  if (same_range) {
    out.means = means_of_all(x.slice(2, first[0], last[0]), m);
    return out;
  }
  // Rows differ: the means as a product with a matrix of 1 / size, shared by the heads.
  Array weights = Array::zeros({batch, 1, m, tokens}, DType::f64, kCpu);
  Array valid = Array::zeros({batch, 1, tokens, 1}, DType::boolean, kCpu);
  for (size_t b = 0; b < first.size(); ++b) {
    double* w = weights.data<double>() + static_cast<int64_t>(b) * m * tokens;
    bool* is_token = valid.data<bool>() + static_cast<int64_t>(b) * tokens;
    std::fill(is_token + first[b], is_token + last[b], true);
    int64_t segments = out.count[b], at = first[b];
    out.equal = out.equal && segments == m;
    for (int64_t j = 0; j < segments; ++j) {
      int64_t n = last[b] - first[b], size = n / segments + (j < n % segments ? 1 : 0);
      for (int64_t i = 0; i < size; ++i) w[j * tokens + at++] = 1 / static_cast<double>(size);
    }
  }
  Tensor clean = where(Tensor(valid), x, 0.0);               // [B, H, N, D]
  out.means = matmul(Tensor(weights).to(x.dtype()), clean);  // [B, H, m, D]
  return out;
}

Tensor iterated_pseudo_inverse(const Tensor& w, int64_t iterations, int64_t single) {
  int64_t rows = w.dim(-2), columns = w.dim(-1);
  if (rows == 0 || columns == 0) return transpose(w, -1, -2);
  if (rows > columns)  // W Z is then the smaller matrix
    return transpose(iterated_pseudo_inverse(transpose(w, -1, -2), iterations, single), -1, -2);
  Tensor by_column = max(sum(w, {-2}, true), -1, true);  // [.., 1, 1]
  Tensor by_row = max(sum(w, {-1}, true), -2, true);     // [.., 1, 1]
  Tensor norm = by_column * by_row;
  norm = where(greater(norm, 0.0), norm, 1.0);
  Tensor z = transpose(w, -1, -2) / norm;  // [.., c, r]
  if (single == 0) return iterate(w, z, iterations);
  z = iterate(w.to(DType::f32), z.to(DType::f32), single);
  return iterate(w, z.to(w.dtype()), iterations - single);
}

}  // namespace heed::nn
