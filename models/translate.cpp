#include <heed/models/translate.h>

#include <algorithm>
#include <numeric>

#include <heed/core/error.h>

namespace heed::models {

std::vector<Hypothesis> translate(const Steppable& model,
                                  const std::vector<std::vector<int64_t>>& sources,
                                  const BeamOptions& options,
                                  const std::function<void(int64_t done)>& on_progress) {
  constexpr size_t kRows = 256, kTokens = 8192;  // beams, and beams x source tokens, of a batch
  std::vector<size_t> order(sources.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return sources[a].size() < sources[b].size(); });
  auto beam = static_cast<size_t>(std::max<int64_t>(options.beam, 1));
  std::vector<Hypothesis> results(sources.size());
  for (size_t begin = 0, end; begin < order.size(); begin = end) {
    end = begin + 1;
    while (end < order.size() && (end + 1 - begin) * beam <= kRows &&
           (end + 1 - begin) * beam * sources[order[end]].size() <= kTokens)
      ++end;
    size_t longest = sources[order[end - 1]].size();
    if (sources[order[begin]].empty()) throw ValueError("translate: a sentence without tokens");
    std::vector<int64_t> ids((end - begin) * longest, model.vocabulary().pad), lengths;
    for (size_t i = begin; i < end; ++i) {
      const auto& tokens = sources[order[i]];
      std::copy(tokens.begin(), tokens.end(),
                ids.begin() + static_cast<int64_t>((i - begin) * longest));
      lengths.push_back(static_cast<int64_t>(tokens.size()));
    }
    auto rows = static_cast<int64_t>(end - begin);
    DecodingInputs inputs{.source = Tensor::from(ids, {rows, static_cast<int64_t>(longest)},
                                                 {.device = model.device()}),
                          .lengths = lengths};
    auto best = beam_search(model, inputs, options);
    for (size_t i = begin; i < end; ++i) results[order[i]] = std::move(best[i - begin].front());
    if (on_progress) on_progress(static_cast<int64_t>(end));
  }
  return results;
}

}  // namespace heed::models
