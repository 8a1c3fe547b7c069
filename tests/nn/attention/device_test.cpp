// Every variant on a device whose memory the host cannot read: the CPU's bits, forward, backward
// and decoding, and nothing read back, with flops being counted, too.
#include <heed/autograd/flop_counter.h>
#include <heed/core/device_memory.h>
#include <heed/nn/attention/catalog.h>
#include <heed/nn/attention/spectrum.h>
#include <heed/nn/recurrent.h>
#include <heed/nn/transformer.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/test_device.h>

using namespace heed;
using namespace heed::test;

namespace {

constexpr int64_t kBatch = 2, kHeads = 2, kTokens = 12, kWidth = 4;

struct Run {
  std::vector<std::vector<double>> values;  // output, gradients, decoded rows
  int64_t reads = 0, flops = 0;
};

Tensor numbers(uint64_t seed, Device device) {
  return Tensor(random_normal({kBatch, kHeads, kTokens, kWidth}, 0, 1, {seed, 0}).to(device));
}

nn::AttentionConfig config_for(bool causal) {
  nn::AttentionConfig c;
  c.heads = c.kv_heads = kHeads;
  c.head_dim = c.value_dim = kWidth;
  c.max_length = kTokens;
  c.causal = causal;
  return c;
}

Run run(const std::string& spec, bool causal, Device device) {
  DefaultDevice on(device);
  manual_seed(7);
  auto a = nn::make_attention(spec, config_for(causal));
  nn::Traits traits = a->traits();
  Tensor q = numbers(1, device), k = traits.shared_qk ? q : numbers(2, device),
         v = numbers(3, device);
  nn::AttentionCall call;
  call.random = {5, 0};
  if (traits.key_padding) call.mask = nn::Mask::padding({9, kTokens});
  if (traits.weight_dropout) call.dropout = 0.2f;

  FlopCounter counter;
  int64_t before = transfer_counts(test_device()).to_host;
  for (Tensor* x : {&q, &v}) x->set_requires_grad(true);
  if (!traits.shared_qk) k.set_requires_grad(true);
  Tensor out = a->forward(q, k, v, call);
  out.backward(numbers(4, device));
  std::vector<Tensor> made{out, q.grad(), v.grad()};
  if (!traits.shared_qk) made.push_back(k.grad());
  for (const Tensor& parameter : a->parameters()) made.push_back(parameter.grad());

  if (traits.decode != nn::DecodeKind::none && (causal || traits.cross)) {
    a->eval();
    call.dropout = 0;
    NoGrad guard;
    auto state = a->new_state(kBatch, kTokens, DType::f32, device);
    if (!causal) {  // an encoder's memory
      a->absorb(k, v, call, *state);
      state->select({1, 0});
      made.push_back(a->step(q, Tensor(), Tensor(), {}, *state));
    }
    call.mask = {};
    for (int64_t t = 0; causal && t < kTokens; ++t) {
      auto token = [&](const Tensor& x) { return x.slice(2, t, t + 1); };
      if (t == 5) state->select({1, 0});
      made.push_back(a->step(token(q), token(k), token(v), call, *state));
    }
  }
  Run result;
  result.reads = transfer_counts(test_device()).to_host - before;
  result.flops = counter.flops();
  for (const Tensor& t : made)
    if (t.defined()) {
      REQUIRE(t.device() == device);
      result.values.push_back(t.to_vector());
    }
  return result;
}

}  // namespace

TEST_CASE("every variant computes on another device, and reads nothing back", "[device]") {
  for (const nn::AttentionEntry& entry : nn::attention_catalog()) {
    std::vector<std::string> options = entry.checked;
    options.insert(options.begin(), "");
    for (const std::string& option : options)
      for (bool causal : {false, true}) {
        std::string spec = entry.name + (option.empty() ? "" : ":" + option);
        INFO(spec << (causal ? " causal" : ""));
        Run here;
        try {
          here = run(spec, causal, kCpu);
        } catch (const ValueError&) {
          continue;  // the traits exclude it
        }
        Run there;
        CHECK_NOTHROW(there = run(spec, causal, test_device()));
        CHECK(there.values == here.values);
        CHECK(there.reads == 0);
        CHECK(there.flops == here.flops);
      }
  }
}

TEST_CASE("what a variant plans on the host is copied to a device once", "[device]") {
  Device device = test_device();
  DefaultDevice on(device);
  for (const nn::AttentionEntry& entry : nn::attention_catalog()) {
    INFO(entry.name);
    auto a = nn::make_attention(entry.name, config_for(false));
    nn::Traits traits = a->traits();
    Tensor q = numbers(1, device).set_requires_grad(true), v = numbers(3, device),
           k = traits.shared_qk ? q : numbers(2, device), g = numbers(4, device);
    nn::AttentionCall call;
    call.random = {5, 0};
    if (traits.key_padding) call.mask = nn::Mask::padding({9, kTokens});
    if (traits.bias) call.mask = call.mask & nn::Mask::alibi(ones({kHeads}));
    auto copies = [&](int64_t tokens) {
      int64_t before = transfer_counts(device).to_device;
      auto some = [&](const Tensor& x) { return x.slice(2, 0, tokens); };
      Tensor rows = some(q);
      a->forward(rows, traits.shared_qk ? rows : some(k), some(v), call).backward(some(g));
      return transfer_counts(device).to_device - before;
    };
    for (int64_t tokens : {kTokens, kTokens - 2}) copies(tokens);
    for (int64_t tokens : {kTokens, kTokens - 2}) CHECK(copies(tokens) == 0);
  }
}

TEST_CASE("the spectrum of a map on another device", "[device]") {
  nn::AttentionConfig config = config_for(false);
  auto spectrum = [&](Device device) {
    auto a = nn::make_attention("dense", config);
    return nn::map_spectrum(*a, numbers(1, device), numbers(2, device), {}, {.rank = 4});
  };
  nn::MapSpectrum here = spectrum(kCpu), there = spectrum(test_device());
  REQUIRE(there.values.device() == test_device());
  REQUIRE(there.values.to_vector() == here.values.to_vector());
  REQUIRE(there.missed.to_vector() == here.missed.to_vector());
}

TEST_CASE("a decode state moves to another device with what it holds", "[device]") {
  for (std::string spec : {"dense", "window:left=3,right=0", "linear", "efficient", "linformer"}) {
    INFO(spec);
    bool causal = spec != "linformer";
    auto a = nn::make_attention(spec, config_for(causal));
    a->eval();
    NoGrad guard;
    Tensor q = numbers(1, kCpu), k = numbers(2, kCpu), v = numbers(3, kCpu);
    auto first = [](const Tensor& x) { return x.slice(2, 0, 8); };
    auto next = [](const Tensor& x) { return x.slice(2, 8, 9); };
    auto here = a->new_state(kBatch, kTokens, DType::f32, kCpu);
    if (causal) a->step(first(q), first(k), first(v), {}, *here);
    else a->absorb(first(k), first(v), {}, *here);
    auto there = here->clone();
    there->to(test_device());
    REQUIRE(there->device() == test_device());
    REQUIRE(there->lengths() == here->lengths());
    Tensor expected = a->step(next(q), next(k), next(v), {}, *here);
    a->to(test_device());
    Tensor got = a->step(next(q).to(test_device()), next(k).to(test_device()),
                         next(v).to(test_device()), {}, *there);
    REQUIRE(got.to_vector() == expected.to_vector());
  }
}

TEST_CASE("the states of a stack and of a recurrent network move as well", "[device]") {
  NoGrad guard;
  nn::TransformerLayerConfig layer{.width = 8, .hidden = 16, .attention = {.heads = 2}};
  nn::TransformerDecoder decoder({.layer = layer, .layers = 2});
  decoder.eval();
  Tensor memory = randn({2, 5, 8}), x = randn({2, 1, 8});
  nn::StackState here = decoder.new_state(memory, nn::Mask::key_padding({5, 3}));
  decoder.step(x, here);
  nn::StackState there = here.clone();
  there.to(test_device());
  Tensor expected = decoder.step(x, here);
  decoder.to(test_device());
  REQUIRE(decoder.step(x.to(test_device()), there).to_vector() == expected.to_vector());

  for (nn::RecurrentKind kind : {nn::RecurrentKind::gru, nn::RecurrentKind::lstm}) {
    nn::Recurrent network(kind, 8, 4);
    nn::RecurrentState state = network.step(x.squeeze(1), network.zero_state(2, DType::f32));
    nn::RecurrentState moved = state;
    for (nn::RecurrentState* s : {&state, &moved}) s->select({1, 1, 0});
    moved.to(test_device());
    Tensor rows = randn({3, 8}), next = network.step(rows, state).h;
    network.to(test_device());
    REQUIRE(network.step(rows.to(test_device()), moved).h.to_vector() == next.to_vector());
  }
}
