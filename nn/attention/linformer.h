// Linformer (Wang et al. 2020, arXiv 2006.04768): keys and values are projected along the sequence
// from S positions to k, so that time and memory grow with T k instead of T S:
//
//   K_b = E K,  V_b = F V,  O = softmax(scale Q K_b^T) V_b;  E, F in R^{k x max_length}
//
//   config.max_length = 512;   // E and F have one column per position; longer is a ValueError
//   auto a = make_attention("linformer:k=64,share=kv", config);
//
// Options: k (256; above max_length it is max_length), share = none (E and F of this layer, common
// to its heads), kv (F = E) or layer (one matrix for all layers that share `shared`, F = E).
// Entries start as N(0, 1 / k), the matrices of the paper's Johnson-Lindenstrauss argument.
//
// A sequence uses the columns of its positions and the first min(k, valid keys) rows of E and F.
// Padded keys are set to 0 before the projection, so padding after a sequence changes nothing.
// There are no causal, pair mask or bias terms, since a projected key mixes all positions. An
// encoder's memory is decoded from its projected keys and values, k (D + E) numbers per key head.
// See docs/attention/linformer.md.
#pragma once

#include <heed/nn/attention/attention.h>
#include <heed/nn/attention/catalog.h>
#include <heed/nn/attention/projected_state.h>

namespace heed::nn {

class LinformerAttention : public Attention {
 public:
  LinformerAttention(AttentionConfig config, SharedParameters& shared);
  const char* name() const override { return "linformer"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionCall& call) const override;
  Traits traits() const override;
  // P F, the factors that the values are effectively multiplied by. They may be negative.
  Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                 const std::vector<int64_t>& rows) const override;
  std::unique_ptr<DecodeState> new_state(int64_t batch, int64_t capacity, DType dtype,
                                         Device device) const override;
  void absorb(const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  Tensor step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
              DecodeState& state) const override;
  std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const override;
  Cost cost(const AttentionShape& shape, Pass pass) const override;

  int64_t projected_length() const { return projected_length_; }  // k
  const Tensor& value_projection() const { return F.defined() ? F : E; }

  Tensor E;  // [k, max_length]
  Tensor F;  // [k, max_length]; undefined where E serves values too

 private:
  // The part of E and F that a call uses, and the terms that limit which projected keys are seen.
  struct Part {
    int64_t rows, columns;
    AttentionTerms terms;
  };
  Part part(const AttentionCall& call, int64_t batch, int64_t keys) const;
  void require_length(int64_t length) const;
  // Adds the valid tokens of k and v to the projected keys and values.
  void take_in(const Tensor& k, const Tensor& v, const Mask& mask, ProjectedState& state) const;

  int64_t projected_length_;
  std::string share_;
};

}  // namespace heed::nn
