// Multi-head attention (Vaswani et al. 2017) around any variant of the catalogue:
//
//   out_proj(concat over heads of attention(q_proj(query), k_proj(key), v_proj(value)))
//
//   nn::MultiHeadAttention a(128, {.heads = 4, .causal = true});
//   Tensor y = a.forward(x, nn::Mask::padding({25, 17}));  // [B, T, 128] -> [B, T, 128]
#pragma once

#include <memory>
#include <optional>

#include <heed/nn/attention/catalog.h>
#include <heed/nn/linear.h>
#include <heed/nn/norm.h>
#include <heed/nn/rope.h>

namespace heed::nn {

struct MultiHeadAttentionConfig {
  int64_t heads = 8;
  int64_t kv_heads = 0;     // 0: as many as heads; fewer: grouped-query attention
  int64_t head_dim = 0;     // 0: width / heads
  int64_t key_width = 0;    // 0: width; of the `key` input (PyTorch's kdim)
  int64_t value_width = 0;  // 0: width; of the `value` input (vdim)
  bool bias = true;
  bool causal = false;
  int64_t max_length = 0;         // for variants that need it; 0: not known
  std::string variant = "dense";  // spec string: name:key=value,..
  // On the weights. Empty: default_dropout where the variant has such dropout, 0 where it has none;
  // an explicit value above 0 is refused there.
  std::optional<double> dropout{};
  double default_dropout = 0;
  std::optional<float> scale{};       // empty: the variant's own
  std::optional<RopeOptions> rope{};  // rotates queries and keys; self-attention only
  // RMSNorm of each head's queries and keys, before RoPE: bounds the scores (Henry et al. 2020,
  // arXiv 2010.04245; Dehghani et al. 2023, arXiv 2302.05442).
  bool qk_norm = false;
};

class MultiHeadAttention : public Module {
 public:
  MultiHeadAttention(int64_t width, const MultiHeadAttentionConfig& config,
                     SharedParameters* shared = nullptr);

  // query [B, T, width], key [B, S, key_width], value [B, S, value_width] -> [B, T, width].
  // Padded tokens are set to 0 before projecting, so NaN in padding reaches nothing.
  Tensor forward(const Tensor& query, const Tensor& key, const Tensor& value,
                 const Mask& mask = {}) const;
  Tensor forward(const Tensor& x, const Mask& mask = {}) const;  // self-attention

  // The map [B, H, R, S] for query rows `rows` (empty: all of them), dropout left out. All maps of
  // a model: nn/attention_recorder.h.
  Tensor weights(const Tensor& query, const Tensor& key, const Mask& mask = {},
                 std::vector<int64_t> rows = {}) const;

  // Decoding; not recorded on the tape. `mask` describes the new tokens only.
  std::unique_ptr<DecodeState> new_state(int64_t batch, int64_t capacity) const;
  void absorb(const Tensor& key, const Tensor& value, const Mask& mask, DecodeState& state) const;
  Tensor step(const Tensor& x, const Mask& mask, DecodeState& state) const;  // self: [B, T, width]
  Tensor step_cross(const Tensor& query, const Mask& mask,
                    DecodeState& state) const;  // absorbed keys only

  const Attention& attention() const { return *attention_; }
  Attention& attention() { return *attention_; }
  double attention_dropout() const { return dropout_; }  // in effect
  int64_t heads() const { return attention_->config().heads; }
  int64_t kv_heads() const { return attention_->config().kv_heads; }
  const MultiHeadAttentionConfig& config() const { return config_; }
  std::string type_name() const override;

  // q_proj and k_proj are empty where the variant's queries and keys are the inputs themselves
  // (Traits::raw_qk), k_proj alone where its keys are its queries (Traits::shared_qk).
  std::unique_ptr<Linear> q_proj, k_proj;
  Linear v_proj, out_proj;
  std::unique_ptr<RMSNorm> q_norm, k_norm;  // with qk_norm; over head_dim

 private:
  struct Heads {
    Tensor q, k, v;  // [B, H, T, D], [B, Hkv, S, D], [B, Hkv, S, D]; views of the projections
  };
  MultiHeadAttention(const MultiHeadAttentionConfig& completed, int64_t width,
                     SharedParameters* shared);
  // Of the inputs that are defined, in whose padding NaN does not matter; `state`: while decoding.
  Heads project(const Tensor& query, const Tensor& key, const Tensor& value, const Mask& mask,
                const DecodeState* state = nullptr) const;
  Tensor project_queries(const Tensor& query) const;
  Tensor project_keys(const Tensor& key) const;
  Tensor project_values(const Tensor& value) const;
  Tensor project_out(const Tensor& mixed) const;  // [B, H, T, D] -> [B, T, width]
  Tensor map(const Heads& heads, AttentionCall call, std::vector<int64_t> rows) const;
  void apply_rope(Heads& heads, const Mask& mask, const DecodeState* state) const;
  AttentionCall make_call(const Mask& mask, const Tensor& q, const Tensor& k) const;
  AttentionCall decoding_call(const Mask& mask) const;
  void require_input(const Tensor& x, int64_t width, const char* what) const;

  int64_t width_;
  MultiHeadAttentionConfig config_;
  std::unique_ptr<Attention> attention_;
  std::optional<Rope> rope_;
  double dropout_ = 0;
};

}  // namespace heed::nn
