// How many dimensions a map of weights really has: the largest singular values of the T x S map of
// any variant that gives its weights, by a randomized range finder (Halko, Martinsson & Tropp 2011,
// arXiv 0909.4061). The map is never stored; blocks of its rows come and go:
//
//   Y = P Omega,  [Y <- P (P^T Q), power times],  Q R = Y,  singular values of Q^T P
//
//   MapSpectrum s = map_spectrum(attention, q, k, call, {.rank = 32});
//   Tensor r = effective_rank(s, 0.99);   // [B, H]: directions that hold 99 % of sum P_ij^2
//
// O(T S (D + l)) time for a pass, O((T + S) l) memory, l = rank + oversample. An instrument, not a
// faster layer: the softmax of scores of rank D has full rank in general, so measure. Not recorded.
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

struct SpectrumOptions {
  int64_t rank = 32;        // singular values wanted
  int64_t oversample = 10;  // further directions, which make them sharp
  int64_t power = 1;        // more for a spectrum that falls slowly
  int64_t block = 256;      // rows of the map held at once
  RandomKey key{};
};

struct MapSpectrum {
  Tensor values;  // [B, H, r], f64, falling: each at most the true singular value
  Tensor energy;  // [B, H], f64: sum of P_ij^2, all singular values squared
  Tensor basis;   // [B, H, T, l], f64: orthonormal columns
  Tensor missed;  // [B, H], f64: |P - basis basis^T P|, Frobenius
};

// ValueError: a variant without weights; rank < 1, oversample < 0, power < 0 or block < 1.
MapSpectrum map_spectrum(const Attention& attention, const Tensor& q, const Tensor& k,
                         const AttentionCall& call, const SpectrumOptions& options = {});

// i64 [B, H]: the fewest singular values whose squares sum up to `share` of the energy; 0 for a map
// of zeros, one more than there are where those known do not suffice. 0 < share <= 1.
Tensor effective_rank(const MapSpectrum& spectrum, double share = 0.99);

}  // namespace heed::nn
