#include <heed/nn/attention_recorder.h>

#include <utility>

namespace heed::nn {

static thread_local AttentionRecorder* active_recorder = nullptr;

AttentionRecorder::AttentionRecorder() : outer_(std::exchange(active_recorder, this)) {}
AttentionRecorder::~AttentionRecorder() { active_recorder = outer_; }
AttentionRecorder* AttentionRecorder::active() { return active_recorder; }

void AttentionRecorder::record(const MultiHeadAttention& layer, Tensor weights) {
  weights_[&layer] = std::move(weights);
}

Tensor AttentionRecorder::weights(const MultiHeadAttention& layer) const {
  auto found = weights_.find(&layer);
  return found == weights_.end() ? Tensor() : found->second;
}

}  // namespace heed::nn
