// Mask terms other than padding, and what must be refused.
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/conformance_case.h>

namespace heed::nn::conformance {

namespace {

constexpr int64_t kTokens = 9;

Tensor run_with(const Case& c, const Attention& a, const Triple& in, const Mask& mask) {
  return a.forward(in.q, in.k, in.v, c.call(mask));
}

// bool [N, N]: each token sees itself and some of the others.
Tensor scattered_pairs(const Case& c) {
  Tensor keep = less(c.normal({kTokens, kTokens}, 61), 0.3);
  for (int64_t i = 0; i < kTokens; ++i) keep[i][i].fill_(1);
  return keep;
}

}  // namespace

void check_pair_mask(Case& c) {
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 16));
    Triple in = c.inputs(a->config(), 2, kTokens, kTokens);
    Mask pairs = Mask::pairs(scattered_pairs(c)), window = Mask::window(3, 2);
    if (!c.traits.pair_mask) {
      std::string message;
      for (const Mask& mask : {pairs, window})
        c.require(c.refuses([&] { run_with(c, *a, in, mask); }, &message),
                  mask.to_string() + ": not declared, and not refused: " + message);
      continue;
    }
    std::string form = causal ? "causal: " : "";
    Tensor before = run_with(c, *a, in, pairs);
    std::vector<double> keep = scattered_pairs(c).to_vector();
    for (int64_t j = 0; j < kTokens; ++j) {  // a key affects only the rows that may see it
      Triple moved = in;
      moved.v = with_tokens(in.v, 2, j, j + 1, in.v + 1000.0);
      if (!c.traits.shared_qk) moved.k = with_tokens(in.k, 2, j, j + 1, -8.0 * in.k);
      Tensor after = run_with(c, *a, moved, pairs);
      for (int64_t i = 0; i < kTokens; ++i)
        if (keep[static_cast<size_t>(i * kTokens + j)] == 0)
          c.same(row_range(after, i, i + 1), row_range(before, i, i + 1),
                 str(form, "key ", j, " is hidden from row ", i, " and changes it"));
    }
    Tensor as_pairs = window.dense(2, kTokens, kTokens, kCpu);
    c.close(run_with(c, *a, in, window), run_with(c, *a, in, Mask::pairs(as_pairs)),
            c.tolerance(kTokens), form + "a window differs from the same pairs as a tensor");
    if (!c.traits.key_padding) continue;
    Mask padding = Mask::key_padding({kTokens, 4});
    Tensor columns = padding.dense(2, kTokens, kTokens, kCpu);
    c.close(run_with(c, *a, in, padding), run_with(c, *a, in, Mask::pairs(columns)),
            c.tolerance(kTokens), form + "padding differs from the same pairs as a tensor");
  }
}

void check_bias(Case& c) {
  for (bool causal : c.forms) {
    auto a = c.make(c.config(causal, 16));
    Triple in = c.inputs(a->config(), 2, kTokens, kTokens);
    Mask added = Mask::added(c.normal({2, kTokens, kTokens}, 62));
    Mask alibi = Mask::alibi(Tensor::from({0.5f, 0.25f}, {2}));
    Mask table = Mask::relative(c.normal({2, 8}, 63), true, 16);
    if (!c.traits.bias) {
      std::string message;
      for (const Mask& mask : {added, alibi, table})
        c.require(c.refuses([&] { run_with(c, *a, in, mask); }, &message),
                  mask.to_string() + ": not declared, and not refused: " + message);
      continue;
    }
    std::string form = causal ? "causal: " : "";
    Tensor plain = run_with(c, *a, in, {});
    double bound = c.tolerance(kTokens);
    c.close(run_with(c, *a, in, Mask::added(zeros({1, 1}, c.dtype))), plain, bound,
            form + "a bias of 0 changes the output");
    for (const Mask& mask : {alibi, table, added}) {
      Tensor out = run_with(c, *a, in, mask);
      c.at_least(rms_error(out, plain), 1e-3, form + mask.to_string() + " changes nothing");
      Tensor tensor = mask.dense_bias(2, kTokens, kTokens, c.dtype);
      c.close(out, run_with(c, *a, in, Mask::added(tensor)), bound,
              form + mask.to_string() + " differs from the same bias as a tensor");
    }
  }
}

// Whatever the traits exclude ends in an error that begins with the variant's name.
void check_refusals(Case& c) {
  auto refused = [&](const std::string& what, const std::function<void()>& f) {
    std::string message;
    c.require(c.refuses(f, &message), what + ": " + message);
  };
  const Traits& t = c.traits;
  bool causal_only = !c.has_form(false);
  auto a = c.make(c.config(causal_only, 16));
  const AttentionConfig& config = a->config();
  Triple in = c.inputs(config, 2, kTokens, kTokens);
  auto with = [&](const AttentionCall& call) { a->forward(in.q, in.k, in.v, call); };
  if (!t.causal) refused("causal", [&] { c.make_plain(c.config(true, 16)); });
  if (!t.key_padding)
    refused("key padding", [&] { with(c.call(Mask::key_padding({kTokens, 3}))); });
  if (t.key_padding && !t.left_padding)
    refused("left padding", [&] { with(c.call(Mask::padding({0, 3}, {kTokens, kTokens}))); });
  if (!t.cross)
    refused("cross-attention", [&] { a->forward(row_range(in.q, 0, 4), in.k, in.v, c.call()); });
  AttentionCall call = c.call();
  call.dropout = 0.5f;
  if (!t.weight_dropout) refused("dropout on the weights", [&] { with(call); });
  call = c.call();
  call.dropout = 1.5f;
  refused("dropout 1.5", [&] { with(call); });
  call = c.call();
  call.scale = 0.25f;
  if (!t.scale) refused("a scale", [&] { with(call); });
  if (!t.weights) refused("weights", [&] { a->weights(in.q, in.k, c.call(), {0}); });
  if (t.decode == DecodeKind::none) refused("decoding", [&] { a->new_state(2, 4, c.dtype, kCpu); });

  Triple wide = c.inputs({.heads = config.heads,
                          .kv_heads = config.kv_heads,
                          .head_dim = config.head_dim + 1,
                          .value_dim = config.value_dim + 1},
                         2, kTokens, kTokens);
  Triple short_keys = c.inputs(config, 2, kTokens, kTokens - 1);
  refused("q of another width", [&] { a->forward(wide.q, in.k, in.v, c.call()); });
  refused("k of another width", [&] { a->forward(in.q, wide.k, in.v, c.call()); });
  refused("v of another width", [&] { a->forward(in.q, in.k, wide.v, c.call()); });
  refused("fewer values than keys", [&] { a->forward(in.q, in.k, short_keys.v, c.call()); });
  refused("another batch size", [&] { a->forward(in.q.slice(0, 0, 1), in.k, in.v, c.call()); });
  refused("padding for three items", [&] { with(c.call(Mask::padding({1, 2, 3}))); });
}

}  // namespace heed::nn::conformance
