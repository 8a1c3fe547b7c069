// Attention over keys listed per query, and the search for the keys of largest score. The problem's
// bias terms are added to scores as in attention.h; its masking terms matter to the search alone.
#pragma once

#include <heed/backends/attention.h>

namespace heed {

struct SelectedKeys {
  Array index;  // i32 [B, H, T, N] contiguous: keys of each query; negative: none
  bool has_self_score = false;
  double self_score = 0;  // replaces the score of query i with key j = i
};

template <class Selected, class F>
requires std::same_as<std::remove_const_t<Selected>, SelectedKeys>
void arrays_of(Selected& s, F&& f) { f(s.index); }

}  // namespace heed

// index i32 [B, H, T, N] contiguous: the N visible keys of largest score (equal scores: the lowest
// keys), in rising order, then -1. `problem.v` is not read.
HEED_KERNEL(attention_topk, void(const AttentionProblem& problem, const Array& index));
// out [B, H, T, E], last axis contiguous; lse [B, H, T] contiguous, -inf where nothing is listed.
HEED_KERNEL(selected_attention_forward,
            void(const AttentionProblem& problem, const SelectedKeys& selected, const Array& out,
                 const Array& lse));
// As attention_backward.
HEED_KERNEL(selected_attention_backward,
            void(const AttentionProblem& problem, const SelectedKeys& selected, const Array& out,
                 const Array& lse, const Array& cotangent, const AttentionGradients& gradients));
