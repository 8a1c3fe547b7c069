// What an attention variant supports exactly. Anything else is refused with the variant's name and
// the reason; there is no silent approximation of a mask.
#pragma once

#include <map>
#include <string>

namespace heed::nn {

enum class GradientKind { exact, surrogate };
// What a DecodeState holds: all keys, the last w keys, or a fixed size. replay: the sequence is
// computed again. none: no decoding.
enum class DecodeKind { kv, ring, fixed, replay, none };

struct Traits {
  bool causal = false;  // an exact causal form exists
  bool cross = false;   // queries and keys may come from different sequences
  bool key_padding = false;
  bool left_padding = false;  // padding before the tokens does not change the result
  bool pair_mask = false;     // pair tensors and windows
  bool bias = false;          // bias tensors, ALiBi, relative bias
  bool weight_dropout = false;
  bool grouped_heads = false;   // kv_heads < heads
  bool shared_qk = false;       // keys are the queries: no key projection is made
  bool raw_qk = false;          // queries and keys are the layer's inputs: neither is projected
  bool weights = false;         // weights() gives the map that is applied
  bool scale = true;            // AttentionCall::scale has a meaning
  bool stochastic = false;      // random numbers in forward, dropout aside
  bool row_stochastic = false;  // weights are >= 0 and sum to 1
  bool permutation = false;     // not causal: keys in another order give the same result
  bool prefix = true;           // causal row i is the last row of the non-causal form on 0 .. i
  GradientKind gradient = GradientKind::exact;
  DecodeKind decode = DecodeKind::none;
  // Trait -> why it is not supported, for error messages, such as
  // {"causal", "landmarks average over the whole sequence"}.
  std::map<std::string, std::string> why;
};

std::string to_string(DecodeKind kind);
std::string to_string(const Traits& traits);  // the supported ones, "causal, cross, .., decode kv"

}  // namespace heed::nn
