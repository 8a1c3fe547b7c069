// The list of attention variants. Tests, benchmarks, examples and docs iterate over it.
//
//   SharedParameters shared;
//   AttentionConfig config{.heads = 4, .kv_heads = 4, .head_dim = 32, .value_dim = 32};
//   auto attention = make_attention("dense", config, shared);
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include <heed/nn/attention/attention.h>

namespace heed::nn {

// Tensors that the layers of a stack have in common, made by the first that asks. A layer registers
// what it got as its own parameter; Module lists it once.
class SharedParameters {
 public:
  Tensor get(const std::string& name, const std::function<Tensor()>& make);

 private:
  std::map<std::string, Tensor> tensors_;
};

struct AttentionEntry {
  std::string name;
  std::string family;  // dense, efficient, sparse, linear, low-rank, recurrent, non-local
  std::string paper;
  std::string cost;  // in words: "O(T S)"
  std::function<std::unique_ptr<Attention>(const AttentionConfig& config, SharedParameters& shared)>
      make;
  // Options under which the conformance kit runs the variant besides the defaults, so small that
  // a dozen tokens exercise them: {"left=3,right=2"}.
  std::vector<std::string> checked{};
  // If forward is a fused kernel: the same composed of primitives, with the same random numbers.
  std::function<Tensor(const Attention& attention, const Tensor& q, const Tensor& k,
                       const Tensor& v, const AttentionCall& call)>
      reference{};
};

const std::deque<AttentionEntry>& attention_catalog();
// Adds a variant from outside; call it from main. ValueError if the name is taken or malformed.
void register_attention(AttentionEntry entry);
const AttentionEntry& find_attention(const std::string& name);  // ValueError lists what exists

// `spec` is name:key=value,..; its options replace config.options. ValueError: unknown names and
// options, bad values, a config (causal, grouped heads) that the variant's traits exclude.
std::unique_ptr<Attention> make_attention(const std::string& spec, AttentionConfig config,
                                          SharedParameters& shared);
std::unique_ptr<Attention> make_attention(const std::string& spec,
                                          AttentionConfig config);  // nothing shared

}  // namespace heed::nn
