#include <heed/nn/attention/spectrum.h>

#include <algorithm>
#include <numeric>

#include <heed/autograd/ops/decompose.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>

namespace heed::nn {

namespace {

// The map by blocks of rows, in double.
class Rows {
 public:
  Rows(const Attention& attention, const Tensor& q, const Tensor& k, const AttentionCall& call,
       int64_t block)
      : attention_(attention), q_(q), k_(k), call_(call), block_(block) {}

  template <class F>
  void each(F&& f) const {  // f(first row, P [B, H, R, S])
    for (int64_t begin = 0; begin < q_.dim(2); begin += block_) {
      std::vector<int64_t> rows(static_cast<size_t>(std::min(block_, q_.dim(2) - begin)));
      std::iota(rows.begin(), rows.end(), begin);
      f(begin, attention_.weights(q_, k_, call_, rows).to(DType::f64));
    }
  }

  Tensor times(const Tensor& x) const {  // P x: [B, H, S, l] -> [B, H, T, l]
    std::vector<Tensor> parts;
    each([&](int64_t, const Tensor& p) { parts.push_back(matmul(p, x)); });
    return concat(parts, 2);
  }

  // P^T x: [B, H, T, l] -> [B, H, S, l]; adds P's squares to `energy` where that is asked for.
  Tensor transposed_times(const Tensor& x, Tensor* energy = nullptr) const {
    Tensor total, squares;
    each([&](int64_t begin, const Tensor& p) {
      Tensor part = matmul(p.transpose(2, 3), x.slice(2, begin, begin + p.dim(2)));
      total = total.defined() ? total + part : part;
      if (!energy) return;
      Tensor square = sum(p * p, {2, 3});
      squares = squares.defined() ? squares + square : square;
    });
    if (energy) *energy = squares;
    return total;
  }

 private:
  const Attention& attention_;
  const Tensor &q_, &k_;
  const AttentionCall& call_;
  int64_t block_;
};

}  // namespace

MapSpectrum map_spectrum(const Attention& attention, const Tensor& q, const Tensor& k,
                         const AttentionCall& call, const SpectrumOptions& options) {
  NoGrad guard;
  if (options.rank < 1 || options.oversample < 0 || options.power < 0 || options.block < 1)
    throw ValueError(str("map_spectrum: rank and block >= 1, oversample and power >= 0 expected, ",
                         "got ", options.rank, ", ", options.block, ", ", options.oversample,
                         " and ", options.power));
  if (q.rank() != 4 || k.rank() != 4 || q.dim(2) == 0 || k.dim(2) == 0)
    throw ShapeError(str("map_spectrum: q [B, H, T, D] and k [B, Hkv, S, D] with tokens expected, ",
                         "got ", q.shape(), " and ", k.shape()));
  int64_t most = std::min(q.dim(2), k.dim(2)), rank = std::min(options.rank, most);
  int64_t width = std::min(rank + options.oversample, most);
  Rows map(attention, q, k, call, options.block);
  Shape shape{q.dim(0), q.dim(1), k.dim(2), width};
  Tensor omega(random_normal(shape, 0, 1, options.key, DType::f64).to(q.device()));
  MapSpectrum out;
  out.basis = qr(map.times(omega)).q;  // [B, H, T, l]
  // A QR between the two products keeps the columns from all approaching the first singular vector.
  for (int64_t i = 0; i < options.power; ++i)
    out.basis = qr(map.times(qr(map.transposed_times(out.basis)).q)).q;
  Tensor core = map.transposed_times(out.basis, &out.energy);  // (Q^T P)^T [B, H, S, l]
  Tensor values = svd(qr(core).r).s.squeeze(2);                // [B, H, l]
  Tensor rest = out.energy - sum(core * core, {2, 3});         // Pythagoras
  out.missed = sqrt(maximum(rest, rest.new_zeros(rest.shape())));
  out.values = values.slice(2, 0, rank).clone();
  return out;
}

Tensor effective_rank(const MapSpectrum& spectrum, double share) {
  if (!(share > 0 && share <= 1))
    throw ValueError(str("effective_rank: a share in (0, 1] expected, got ", share));
  std::vector<double> values = spectrum.values.to_vector(), energy = spectrum.energy.to_vector();
  auto count = static_cast<size_t>(spectrum.values.dim(2));
  std::vector<int64_t> ranks;
  for (size_t map = 0; map < energy.size(); ++map) {
    // Rounding must not exclude the last direction of a map.
    double wanted = share * energy[map] * (1 - 1e-12), found = 0;
    size_t r = 0;
    while (r < count && found < wanted)
      found += values[map * count + r] * values[map * count + r], ++r;
    ranks.push_back(static_cast<int64_t>(found < wanted ? count + 1 : r));
  }
  return Tensor::from(ranks, {spectrum.energy.dim(0), spectrum.energy.dim(1)}, {.device = kCpu});
}

}  // namespace heed::nn
