// The check of token ids, where batches are made of them: devices cannot throw for a wrong one.
#pragma once

#include <algorithm>
#include <vector>

#include <heed/core/error.h>

namespace heed::data {

// ValueError, beginning with the text that who() gives, where an id is below 0 or, with vocab > 0,
// not below vocab. Not for users.
template <class Who>
void require_ids(const std::vector<int64_t>& ids, int64_t vocab, Who&& who) {
  if (ids.empty()) return;
  auto [low, high] = std::minmax_element(ids.begin(), ids.end());
  if (*low < 0) throw ValueError(str(who(), " has the id ", *low, ", ids >= 0 expected"));
  if (vocab > 0 && *high >= vocab)
    throw ValueError(str(who(), " has the id ", *high, " outside the vocabulary of ", vocab));
}

}  // namespace heed::data
