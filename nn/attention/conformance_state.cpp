// What a call may depend on: its arguments and the saved state, nothing else.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
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
    Pulled first = c.pull(*a, in, call, cotangent);
    c.same(c.pull(*a, in, call, cotangent), first, form + "the same call again");
    auto twin = c.make_like(*a, a->config());
    c.same(c.pull(*twin, in, call, cotangent), first, form + "the same call of a twin");
    AttentionCall other = call;
    other.random.seed += 1;
    if (c.traits.stochastic || c.traits.weight_dropout)
      c.require(largest_difference(c.pull(*a, in, other, cotangent).out, first.out) > 0,
                form + "another random key changes nothing");
    else
      c.same(c.pull(*a, in, other, cotangent), first,
             form + "the random key matters, but the traits do not say stochastic");
  }
}

// A fresh layer's result against that of one which has seen shorter, longer, larger and masked
// inputs before.
void check_memoryless(Case& c) {
  constexpr int64_t n = 21, longest = 40;
  for (bool causal : c.forms) {
    AttentionConfig config = c.config(causal, longest);
    auto fresh = c.make(config);
    auto used = c.make_like(*fresh, config);
    Triple in = c.inputs(config, 2, n, n);
    Tensor cotangent = c.cotangent(*fresh, in);
    Pulled expected = c.pull(*fresh, in, c.call(), cotangent);
    auto call_with = [&](int64_t length, double scale, const Mask& mask) {
      Triple t = c.inputs(config, 3, length, length, 8);
      t.q = scale * t.q;
      t.k = c.traits.shared_qk ? t.q : scale * t.k;
      c.pull(*used, t, c.call(mask), c.cotangent(*used, t));
    };
    std::string form = causal ? "causal: " : "";
    auto again = [&](const char* after) {
      c.same(c.pull(*used, in, c.call(), cotangent), expected, str(form, "after ", after));
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
      auto state = used->new_state(2, 8, c.dtype);
      used->step(in.q, in.k, in.v, c.call(), *state);
      again("decoding");
    }
  }
}

}  // namespace heed::nn::conformance
