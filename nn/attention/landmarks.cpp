#include <heed/nn/attention/landmarks.h>

#include <algorithm>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/plan.h>

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

// Z [.., c, r] after `iterations` more iterations.
Tensor iterate(const Tensor& w, Tensor z, int64_t iterations) {
  Tensor one = w.new_eye(w.dim(-2));
  for (int64_t i = 0; i < iterations; ++i) {
    Tensor wz = matmul(w, z);        // [.., r, r]
    Tensor t = 7.0 * one - wz;       // [.., r, r]
    t = 15.0 * one - matmul(wz, t);  // [.., r, r]
    t = 13.0 * one - matmul(wz, t);  // [.., r, r]
    z = matmul(z, t) * 0.25;         // [.., c, r]
  }
  return z;
}

// If rows differ, the means are a product with a matrix of 1 / size that all heads share.
struct SegmentPlan {
  Tensor weights;  // f64 [B, 1, m, N]
  Tensor valid;    // bool [B, 1, N, 1]
};

// Computed on the host.
SegmentPlan segment_plan(const Ranges& valid, const Lengths& count, int64_t tokens, Device device) {
  int64_t batch = valid.rows(), m = count.max();
  Array weights = Array::zeros({batch, 1, m, tokens}, DType::f64, kCpu);
  Array is_valid = Array::zeros({batch, 1, tokens, 1}, DType::boolean, kCpu);
  for (size_t b = 0; b < valid.begin.size(); ++b) {
    double* w = weights.data<double>() + static_cast<int64_t>(b) * m * tokens;
    bool* is_token = is_valid.data<bool>() + static_cast<int64_t>(b) * tokens;
    std::fill(is_token + valid.begin[b], is_token + valid.end[b], true);
    int64_t segments = count.values()[b], at = valid.begin[b], n = valid.end[b] - at;
    for (int64_t j = 0; j < segments; ++j) {
      int64_t size = n / segments + (j < n % segments ? 1 : 0);
      for (int64_t i = 0; i < size; ++i) w[j * tokens + at++] = 1 / static_cast<double>(size);
    }
  }
  return {Tensor(plan_on(weights, device)), Tensor(plan_on(is_valid, device))};
}

}  // namespace

Landmarks segment_means(const Tensor& x, const Ranges& valid, int64_t most) {
  std::vector<int64_t> count;
  for (int64_t b = 0; b < valid.rows(); ++b) count.push_back(std::min(most, valid.size(b)));
  Landmarks out{Tensor(), count};
  int64_t m = out.count.max();
  if (m == 0) {
    out.means = x.slice(2, 0, 0);  // [B, H, 0, D]
  } else if (valid.equal) {
    out.means = means_of_all(x.slice(2, valid.begin[0], valid.end[0]), m);
  } else {
    SegmentPlan plan = segment_plan(valid, out.count, x.dim(2), x.device());
    Tensor clean = where(plan.valid, x, 0.0);               // [B, H, N, D]
    out.means = matmul(plan.weights.to(x.dtype()), clean);  // [B, H, m, D]
  }
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
