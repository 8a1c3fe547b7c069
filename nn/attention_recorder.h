// The attention weights of a forward pass, layer by layer, to look at.
//
//   nn::AttentionRecorder recorder;       // from here on, on this thread
//   encoder.forward(x, mask);
//   Tensor map = recorder.weights(encoder.layer(0).self_attn);  // [B, H, T, S]
//
// While it lives, MultiHeadAttention::forward also computes the map that it applies (without
// dropout and not recorded on the tape), from the same queries, keys and random numbers. That takes
// O(T S) memory per layer. If recorders are nested, only the innermost one records.
#pragma once

#include <map>

#include <heed/autograd/tensor.h>

namespace heed::nn {

class MultiHeadAttention;

class AttentionRecorder {
 public:
  AttentionRecorder();
  ~AttentionRecorder();
  AttentionRecorder(const AttentionRecorder&) = delete;
  AttentionRecorder& operator=(const AttentionRecorder&) = delete;

  // Of the layer's last forward pass: [B, H, T, S]. Undefined where there was none, or where the
  // variant has no weights to show (Traits::weights).
  Tensor weights(const MultiHeadAttention& layer) const;

  static AttentionRecorder* active();  // on this thread; null: none
  void record(const MultiHeadAttention& layer, Tensor weights);

 private:
  AttentionRecorder* outer_;
  std::map<const MultiHeadAttention*, Tensor> weights_;
};

}  // namespace heed::nn
