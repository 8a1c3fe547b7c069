#include <heed/nn/attention/luong.h>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/core/error.h>
#include <heed/nn/attention/additive.h>
#include <heed/nn/attention/dense.h>
#include <heed/nn/attention/score_map.h>
#include <heed/nn/init.h>

namespace heed::nn {

LuongAttention::LuongAttention(AttentionConfig config) : Attention(std::move(config)) {
  const AttentionConfig& c = this->config();
  score_ = c.options.choice("score", "dot", {"dot", "general", "concat"});
  if (score_ == "concat") {
    inner_ = std::make_unique<AdditiveAttention>(c);
    register_module("", *inner_);
    return;
  }
  if (c.options.has("width"))
    throw ValueError(str("luong: option 'width' belongs to score=concat, not to score=", score_));
  inner_ = std::make_unique<DenseAttention>(dense_config(c));
  if (score_ == "general") {
    weight = zeros({c.head_dim, c.head_dim});
    init::xavier_uniform_(weight);
    register_parameter("weight", weight);
  }
}

// q . W k = (W^T q) . k: keys stay as they are, in forward and in the cache. Padding is set to 0
// first, or NaN in it would reach the gradient of W.
Tensor LuongAttention::projected_queries(const Tensor& q, const AttentionCall& call) const {
  if (!weight.defined()) return q;
  return matmul(call.mask.select_queries(q, 2), weight.to(q.dtype()));  // [B, H, T, D]
}

AttentionCall LuongAttention::scaled(const AttentionCall& call) const {
  AttentionCall own = call;
  own.scale = static_cast<float>(scale_of(call));
  return own;
}

Tensor LuongAttention::forward(const Tensor& q, const Tensor& k, const Tensor& v,
                               const AttentionCall& call) const {
  auto scope = enter();
  check_call(q, k, v, call);
  return inner_->forward(projected_queries(q, call), k, v, scaled(call));  // [B, H, T, E]
}

Tensor LuongAttention::weights(const Tensor& q, const Tensor& k, const AttentionCall& call,
                               const std::vector<int64_t>& rows) const {
  check_call(q, k, Tensor(), call);
  check_rows(rows, q.dim(2), name());
  return inner_->weights(projected_queries(q, call), k, scaled(call), rows);  // [B, H, R, S]
}

std::unique_ptr<DecodeState> LuongAttention::new_state(int64_t batch, int64_t capacity, DType dtype,
                                                       Device device) const {
  return inner_->new_state(batch, capacity, dtype, device);
}

void LuongAttention::absorb(const Tensor& k, const Tensor& v, const AttentionCall& call,
                            DecodeState& state) const {
  check_step(Tensor(), k, v, call, state);
  inner_->absorb(k, v, call, state);
}

Tensor LuongAttention::step(const Tensor& q, const Tensor& k, const Tensor& v,
                            const AttentionCall& call, DecodeState& state) const {
  NoGrad guard;
  auto scope = enter();
  check_step(q, k, v, call, state);
  return inner_->step(projected_queries(q, call), k, v, scaled(call), state);  // [B, H, T, E]
}

std::optional<ExactLimit> LuongAttention::exact_limit(const AttentionShape&) const {
  ExactLimit limit;
  limit.options = Options(name());
  limit.options.set("score", "dot");
  limit.reference = [dense = dense_reference(config())](const Tensor& q, const Tensor& k,
                                                        const Tensor& v,
                                                        const AttentionCall& call) {
    AttentionCall own = call;
    if (!own.scale) own.scale = 1.0f;
    return dense(q, k, v, own);
  };
  return limit;
}

Cost LuongAttention::cost(const AttentionShape& s, Pass pass) const {
  Cost c = inner_->cost(s, pass);
  if (!weight.defined()) return c;
  int64_t projected = s.batch * s.heads * s.queries * s.head_dim;
  int64_t size = static_cast<int64_t>(size_of(s.dtype));
  c.flops += (pass == Pass::forward ? 2 : 4) * projected * s.head_dim;
  c.bytes += 2 * projected * size;
  c.activation_bytes += projected * size;  // q and W^T q are both kept
  return c;
}

}  // namespace heed::nn
