// The effective rank of attention maps: the largest singular values of the T x S map of any variant
// that gives its weights, by a randomized range finder (Halko, Martinsson & Tropp 2011, arXiv
// 0909.4061). The map is never stored whole; it is made in blocks of rows:
//
//   Y = P Omega,  [Y <- P (P^T Q), power times],  Q R = Y,  singular values of Q^T P
//
//   MapSpectrum s = map_spectrum(attention, q, k, call, {.rank = 32});
//   Tensor r = effective_rank(s, 0.99);   // [B, H]: directions that hold 99 % of sum P_ij^2
//
// Each pass takes O(T S (D + l)) time; memory is O((T + S) l), l = rank + oversample. This is a
// measurement, not a faster layer: the softmax of scores of rank D has full rank in general. Not
// recorded on the tape.
#pragma once

#include <heed/nn/attention/attention.h>

namespace heed::nn {

struct SpectrumOptions {
  int64_t rank = 32;        // singular values wanted
  int64_t oversample = 10;  // extra directions, for accuracy
  int64_t power = 1;        // power iterations; more for a spectrum that falls slowly
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

// i64 [B, H], on the CPU: the fewest singular values whose squares sum up to `share` of the energy;
// 0 for a map of zeros, and one more than s holds if those do not suffice. 0 < share <= 1.
Tensor effective_rank(const MapSpectrum& spectrum, double share = 0.99);

}  // namespace heed::nn
