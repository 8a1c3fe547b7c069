// Attention mutants: small wrong variants, one for each defect that has been published in code of
// others, and the right variants beside them (controls), which differ in one line. The kit must
// fail the ones and pass the others. All are composed of plain Tensor functions, with the whole T x
// S map in memory: mathematics only.
#pragma once

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/catalog.h>

namespace heed::test {

struct Seen {  // the arguments of forward
  const nn::AttentionConfig& config;
  const Tensor &q, &k, &v;
  const nn::AttentionCall& call;
  bool causal() const { return config.causal; }
  // Padded tokens selected to 0.
  Tensor clean_q() const { return call.mask.select_queries(q, 2); }
  Tensor clean_k() const { return call.mask.select_keys(k, 2); }
  Tensor clean_v() const { return call.mask.select_keys(v, 2); }
  Tensor visible() const {  // bool [B or 1, H or 1, T, S]
    return call.mask.dense(q.dim(0), q.dim(2), k.dim(2), q.device(), config.causal);
  }
};
using Body = std::function<Tensor(const Seen&)>;

class Mutant : public nn::Attention {
 public:
  Mutant(nn::AttentionConfig config, std::string name, nn::Traits traits, Body body, Body limit)
      : Attention(std::move(config)),
        name_(std::move(name)),
        traits_(std::move(traits)),
        body_(std::move(body)),
        limit_(std::move(limit)) {}
  const char* name() const override { return name_.c_str(); }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const nn::AttentionCall& call) const override {
    check_call(q, k, v, call);
    return body_({config(), q, k, v, call});
  }
  nn::Traits traits() const override { return traits_; }
  std::optional<nn::ExactLimit> exact_limit(const nn::AttentionShape&) const override {
    if (!limit_) return std::nullopt;
    nn::ExactLimit limit;
    limit.options = nn::Options(name_);
    limit.reference = [limit = limit_, config = config()](const Tensor& q, const Tensor& k,
                                                          const Tensor& v,
                                                          const nn::AttentionCall& call) {
      return limit({config, q, k, v, call});
    };
    return limit;
  }

 private:
  std::string name_;
  nn::Traits traits_;
  Body body_, limit_;
};

// `make_body`: called once a layer, so that a layer may have a memory of its own.
inline nn::AttentionEntry mutant(const std::string& name, const nn::Traits& traits,
                                 const std::function<Body()>& make_body, const Body& limit = {}) {
  nn::AttentionEntry entry;
  entry.name = name;
  entry.make = [=](const nn::AttentionConfig& config, nn::SharedParameters&) {
    return std::make_unique<Mutant>(config, name, traits, make_body(), limit);
  };
  return entry;
}

inline nn::AttentionEntry mutant(const std::string& name, const nn::Traits& traits,
                                 const Body& body, const Body& limit = {}) {
  return mutant(name, traits, std::function<Body()>([=] { return body; }), limit);
}

inline nn::Traits traits_of(bool causal) {
  nn::Traits t;
  t.causal = causal;
  t.key_padding = true;
  return t;
}

// [.., T, S]: over the visible pairs; a row without any gives 0.
inline Tensor softmax_over(const Tensor& visible, const Tensor& scores) {
  return softmax(where(visible, scores, -std::numeric_limits<double>::infinity()), -1);
}

inline Tensor scaled_scores(const Tensor& q, const Tensor& k) {  // [B, H, T, S]
  return matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(q.dim(3)));
}

inline Tensor as_number(const Tensor& condition, DType dtype) {
  return where(condition, ones({1}, dtype), 0.0);
}

}  // namespace heed::test
