// What a call may depend on: its arguments and the saved state, nothing else.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/conformance_case.h>

namespace heed::nn::conformance {

void check_determinism(Case& c) {
  constexpr int64_t n = 19;
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 32));
    Triple in = c.inputs(a->config(), 3, n, n);
    Tensor cotangent = c.cotangent(*a, in);
    AttentionCall call = c.call();
    if (c.traits.weight_dropout) call.dropout = 0.3f;
    std::string form = causal ? "causal: " : "";
    Evaluation first = c.evaluate(*a, in, call, cotangent);
    c.same(c.evaluate(*a, in, call, cotangent), first, form + "the same call again");
    auto twin = c.make_like(*a, a->config());
    c.same(c.evaluate(*twin, in, call, cotangent), first, form + "the same call of a twin");
    AttentionCall other = call;
    other.random.seed += 1;
    if (c.traits.stochastic || c.traits.weight_dropout)
      c.require(largest_difference(c.evaluate(*a, in, other, cotangent).out, first.out) > 0,
                form + "another random key changes nothing");
    else
      c.same(c.evaluate(*a, in, other, cotangent), first,
             form + "the random key matters, but the traits do not say stochastic");
  }
}

// The result of a fresh layer against that of a layer that has seen shorter, longer, larger and
// masked inputs before.
void check_memoryless(Case& c) {
  constexpr int64_t n = 21, longest = 40;
  for (bool causal : c.forms) {
    AttentionConfig config = c.config(causal, longest);
    auto fresh = c.make(config);
    auto used = c.make_like(*fresh, config);
    Triple in = c.inputs(config, 2, n, n);
    Tensor cotangent = c.cotangent(*fresh, in);
    Evaluation expected = c.evaluate(*fresh, in, c.call(), cotangent);
    auto call_with = [&](int64_t length, double scale, const Mask& mask) {
      Triple t = c.inputs(config, 3, length, length, 8);
      t.q = scale * t.q;
      t.k = c.traits.shared_qk ? t.q : scale * t.k;
      c.evaluate(*used, t, c.call(mask), c.cotangent(*used, t));
    };
    std::string form = causal ? "causal: " : "";
    auto again = [&](const char* after) {
      c.same(c.evaluate(*used, in, c.call(), cotangent), expected, str(form, "after ", after));
    };
    call_with(2, 1, {});
    again("a shorter call");
    call_with(longest, 1, {});
    again("a longer call");
    call_with(n, 50, {});
    again("a call with larger inputs");
    if (c.traits.key_padding) call_with(n, 1, Mask::padding({n, 3, 0}));
    again("a masked call");
    if (c.traits.decode != DecodeKind::none && causal) {
      auto state = used->new_state(2, 8, c.dtype, kCpu);
      used->step(in.q, in.k, in.v, c.call(), *state);
      again("decoding");
    }
  }
}

// The state dict holds all that forward uses, random projections included, and forward does not
// change it. on_step may change it.
void check_save_load(Case& c) {
  constexpr int64_t n = 11;
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 16), 0);
    Triple in = c.inputs(a->config(), 2, n, n);
    Tensor cotangent = c.cotangent(*a, in);
    for (int64_t step : {int64_t{0}, int64_t{1}, int64_t{1000}, int64_t{100000}}) {
      if (step > 0) a->on_step(step, {c.seed + 5, static_cast<uint64_t>(step)});
      std::string where = str(causal ? "causal, " : "", "after step ", step, ": ");
      StateDict saved;
      for (const auto& [name, tensor] : a->state_dict()) saved[name] = tensor.detach().clone();
      Evaluation expected = c.evaluate(*a, in, c.call(), cotangent);
      for (const Tensor& t : expected.all()) c.finite(t, where + "not finite");
      for (const auto& [name, tensor] : a->state_dict())
        c.same(tensor, saved.at(name), where + "forward changes '" + name + "'");
      auto b = c.make_plain(c.config(causal, 16), 9);  // other initial values
      b->load_state_dict(saved);
      c.same(c.evaluate(*b, in, c.call(), cotangent), expected, where + "a loaded layer");
    }
  }
}

// E[dropout(w) v] = w v. With m_j = 0 or 1 / (1 - p), the variance of sum_j m_j w_j v_j is
// p / (1 - p) sum_j (w_j v_j)^2, so the mean of R calls is off by z sqrt(variance / R), where
// |z| < 5.5 except in one case of 2 10^7.
void check_dropout(Case& c) {
  constexpr int64_t n = 6;
  constexpr int runs = 400;
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 16));
    Triple in = c.inputs(a->config(), 2, n, n);
    AttentionCall call = c.call();
    call.dropout = 0.4f;
    std::string form = causal ? "causal: " : "", message;
    if (!c.traits.weight_dropout) {
      c.require(c.refuses([&] { a->forward(in.q, in.k, in.v, call); }, &message),
                form + "dropout is not declared, and not refused: " + message);
      continue;
    }
    NoGrad guard;
    Tensor plain = a->forward(in.q, in.k, in.v, c.call()), total = plain * 0.0;
    for (int run = 0; run < runs; ++run) {
      call.random.seed = c.seed + 10000 + static_cast<uint64_t>(run);
      total = total + a->forward(in.q, in.k, in.v, call);
    }
    if (c.traits.weights) {
      Tensor w = a->weights(in.q, in.k, c.call(), {0, 1, 2, 3, 4, 5});  // [B, H, N, N]
      Tensor variance = 0.4 / 0.6 * matmul(square(w), square(in.v));    // [B, H, N, E]
      Tensor z = (total / double(runs) - plain) / sqrt(variance / double(runs) + 1e-30);
      c.at_most(max(abs(z).reshape({-1}), 0).item(), 5.5, form + "mean over keys, in sigmas");
      Tensor dropped = a->weights(in.q, in.k, call, {0, 1, 2, 3, 4, 5});
      c.close(matmul(dropped, in.v), a->forward(in.q, in.k, in.v, call), c.tolerance(n),
              form + "weights() with dropout differs from forward");
    }
    call.dropout = 1;
    c.zero(a->forward(in.q, in.k, in.v, call), form + "dropout 1");
  }
}

}  // namespace heed::nn::conformance
