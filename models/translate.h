// Translating sentences of any length with a model that has a source: batches of similar length,
// each by beam search.
//
//   model.eval();
//   std::vector<models::Hypothesis> best = models::translate(model, sources, {.beam = 5});
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include <heed/models/beam_search.h>

namespace heed::models {

// The best of each sentence (token ids, with eos if the model was trained so); `on_progress` is
// told how many sentences are done.
std::vector<Hypothesis> translate(const Steppable& model,
                                  const std::vector<std::vector<int64_t>>& sources,
                                  const BeamOptions& options = {},
                                  const std::function<void(int64_t done)>& on_progress = {});

}  // namespace heed::models
