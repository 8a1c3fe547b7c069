// The attention contract. A variant mixes values: given queries, keys and values per head, it
// returns one mixed value per query. Projections, heads and positions are MultiHeadAttention's
// business.
//
// To write one: derive, give name(), forward() and traits(), add a row to the catalogue (or call
// register_attention from main). Start forward with check_call(q, k, v, call): it refuses, with
// the variant's name and reason, whatever the traits do not support. A variant that decodes from a
// cache of keys and values adds step(), which starts with check_step in the same way.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <heed/core/random.h>
#include <heed/nn/attention/decode_state.h>
#include <heed/nn/attention/mask.h>
#include <heed/nn/attention/options.h>
#include <heed/nn/attention/traits.h>
#include <heed/nn/module.h>

namespace heed::nn {

// Fixed at construction by MultiHeadAttention or the user.
struct AttentionConfig {
  int64_t heads = 1;
  int64_t kv_heads = 1;    // divides heads; head h reads key head h / (heads / kv_heads)
  int64_t head_dim = 64;   // D
  int64_t value_dim = 64;  // E
  int64_t max_length = 0;  // 0: not known
  bool causal = false;     // the layer adds that term itself
  Options options{};       // from the spec string
};

// May change from call to call.
struct AttentionCall {
  Mask mask{};
  std::optional<float> scale{};  // empty: the variant's own
  float dropout = 0;             // on the weights, where traits().weight_dropout
  RandomKey random{};            // all randomness of this call
};

struct AttentionShape {
  int64_t batch = 1, heads = 1, kv_heads = 1, queries = 1, keys = 1, head_dim = 1, value_dim = 1;
  DType dtype = DType::f32;
};

enum class Pass { forward, backward };

// flops: matrix products only, 2 flops per multiply-add. bytes: operands and results of each op.
// activation_bytes: saved tensors and results, without per-thread scratch.
struct Cost {
  int64_t flops = 0;
  int64_t bytes = 0;
  int64_t activation_bytes = 0;
  int64_t state_bytes = 0;   // a DecodeState that holds `keys` keys
  bool upper_bound = false;  // flops depend on the data
};

class Attention;

using AttentionFunction = std::function<Tensor(const Tensor& q, const Tensor& k, const Tensor& v,
                                               const AttentionCall& call)>;

// The setting at which a variant equals something known; the conformance kit tests it there.
struct ExactLimit {
  Options options{};
  std::function<void(Attention&)> prepare;  // may be empty
  AttentionFunction reference;
  double tolerance_f64 = 1e-12;
  double tolerance_f32 = 2e-6;
};

class Attention : public Module {
 public:
  explicit Attention(AttentionConfig config);  // ValueError unless the sizes make sense
  virtual const char* name() const = 0;        // as in the catalogue
  std::string type_name() const override;

  // q [B, H, T, D], k [B, Hkv, S, D], v [B, Hkv, S, E] -> [B, H, T, E]. Any strides.
  virtual Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionCall& call) const = 0;
  virtual Traits traits() const = 0;
  // The attention map that forward applies, for the given query rows: [B, H, R, S]. ValueError if
  // the variant has none.
  virtual Tensor weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                         const std::vector<int64_t>& rows) const;

  // Decoding. ValueError where traits().decode is none. `capacity` is a hint: the number of keys
  // expected. Unless a variant says otherwise, the state is a KVCache (kv_cache.h).
  virtual std::unique_ptr<DecodeState> new_state(int64_t batch, int64_t capacity, DType dtype,
                                                 Device device) const;
  // Takes in keys and values without queries: a prompt, or an encoder's memory.
  virtual void absorb(const Tensor& k, const Tensor& v, const AttentionCall& call,
                      DecodeState& state) const;
  // Decodes T >= 1 new positions: their keys enter the state before the queries attend to it. With
  // k and v undefined, the queries attend to the keys that the state holds already. call.mask
  // describes the new positions only.
  virtual Tensor step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
                      DecodeState& state) const;

  virtual std::optional<ExactLimit> exact_limit(const AttentionShape& shape) const;
  // Keys that must influence query row i (of batch row 0, in at least one head).
  // By default: every visible key.
  virtual std::vector<int64_t> reach(const Tensor& q, const Tensor& k, const AttentionCall& call,
                                     int64_t i) const;
  virtual Cost cost(const AttentionShape& shape, Pass pass) const;
  virtual void on_step(int64_t step, RandomKey key);  // called by the trainer, never inside forward

  const AttentionConfig& config() const { return config_; }
  void check_config() const;  // ValueError where the traits exclude what the config asks for

 protected:
  // Shapes, dtypes, whether the mask's terms fit, and everything that traits() excludes. v may be
  // undefined (weights).
  void check_call(const Tensor& q, const Tensor& k, const Tensor& v,
                  const AttentionCall& call) const;
  // The same for new tokens and a state: q [B, H, N, D] with or without k [B, Hkv, N, D] and v
  // [B, Hkv, N, E] (step), or these two alone (absorb). Dropout and an offset have no meaning here.
  void check_step(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
                  const DecodeState& state) const;
  // For variants in which query i always stands at key i: ValueError where the mask has an offset.
  void refuse_offset(const AttentionCall& call) const;
  // The scale of a call that names none: 1 / sqrt(D), unless a variant says otherwise.
  virtual double default_scale() const;
  double scale_of(const AttentionCall& call) const {
    return call.scale ? *call.scale : default_scale();
  }
  // The call's scale, dropout and random key, as the fused op takes them.
  FusedAttentionOptions fused_options(const AttentionCall& call) const;
  // The state as this variant's own type, KVCache& cache = state_as<KVCache>(state); ValueError if
  // another variant made it.
  template <class State>
  State& state_as(DecodeState& state) const {
    if (auto* s = dynamic_cast<State*>(&state)) return *s;
    wrong_state();
  }
  [[noreturn]] void refuse(const std::string& what, const std::string& trait) const;
  // For variants of several ops, each of which would round bf16. They begin with
  //   if (needs_widening(q)) return forward_widened(q, k, v, call);
  // which calls forward again with operands and biases in f32, and rounds its result once. What
  // such a variant sums up while decoding it keeps in f32: its states are made with
  // accumulate_dtype.
  static bool needs_widening(const Tensor& x);
  Tensor forward_widened(const Tensor& q, const Tensor& k, const Tensor& v,
                         const AttentionCall& call) const;
  Tensor weights_widened(const Tensor& q, const Tensor& k, const AttentionCall& call,
                         const std::vector<int64_t>& rows) const;
  void absorb_widened(const Tensor& k, const Tensor& v, const AttentionCall& call,
                      DecodeState& state) const;
  Tensor step_widened(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionCall& call,
                      DecodeState& state) const;

 private:
  void check_query(const Tensor& q) const;
  void check_keys(const Tensor& k, const Tensor& v, int64_t batch, DType dtype) const;
  // The checks that check_call and check_step share, for a map [B, H, T, S].
  void check_supported(const AttentionCall& call, const Shape& map, DType dtype) const;
  void check_left_padding(const Mask& mask) const;
  [[noreturn]] void wrong_state() const;
  AttentionConfig config_;
};

// Calls on_step of every attention in the module tree below `root`, each with its own part of the
// random numbers.
void attention_on_step(Module& root, int64_t step, RandomKey key);

}  // namespace heed::nn
