// cost() against what the op layer and the allocator measure.
#include <algorithm>
#include <cmath>

#include <heed/autograd/backward.h>
#include <heed/autograd/flop_counter.h>
#include <heed/core/error.h>
#include <heed/core/live_bytes.h>
#include <heed/core/memory.h>
#include <heed/core/parallel.h>
#include <heed/nn/attention/conformance_case.h>

namespace heed::nn::conformance {

namespace {

AttentionShape shape_of(const Case& c, const AttentionConfig& config, int64_t batch,
                        int64_t queries, int64_t keys) {
  return {.batch = batch,
          .heads = config.heads,
          .kv_heads = config.kv_heads,
          .queries = queries,
          .keys = keys,
          .head_dim = config.head_dim,
          .value_dim = config.value_dim,
          .dtype = c.dtype};
}

void require_model(const Case& c, const Attention& a) {
  try {
    a.cost(shape_of(c, a.config(), 1, 4, 4), Pass::forward);
  } catch (const Error& error) {
    c.not_applicable(str("no cost model: ", error.what()));
  }
}

struct Leaves {
  Tensor q, k, v;
  std::vector<Tensor> all;
};

Leaves leaves_of(const Case& c, const Attention& a, int64_t batch, int64_t queries, int64_t keys) {
  auto leaf = [](const Tensor& x) { return x.detach().clone().set_requires_grad(true); };
  Triple in = c.inputs(a.config(), batch, queries, keys);
  Leaves l;
  l.q = leaf(in.q);
  l.k = c.traits.shared_qk ? l.q : leaf(in.k);
  l.v = leaf(in.v);
  l.all = {l.q, l.v};
  if (!c.traits.shared_qk) l.all.push_back(l.k);
  for (const Tensor& p : a.parameters()) l.all.push_back(p);
  return l;
}

struct Setup {
  bool causal;
  int64_t queries, keys, heads = 2, kv_heads = 2;
};

std::vector<Setup> setups(const Case& c, int64_t n) {
  std::vector<Setup> list;
  for (bool causal : c.forms) {
    list.push_back({causal, n, n});
    if (c.traits.grouped_heads) list.push_back({causal, n, n, 4, 2});
    if (!causal && c.traits.cross && !c.traits.shared_qk) {
      list.push_back({causal, n / 2, n});
      list.push_back({causal, n, n / 3});
    }
  }
  return list;
}

AttentionConfig config_of(const Case& c, const Setup& s) {
  AttentionConfig config = c.config(s.causal, 512);
  config.heads = s.heads;
  config.kv_heads = s.kv_heads;
  config.head_dim = 16;
  config.value_dim = c.value_dim == 3 ? 8 : 16;
  return config;
}

std::string name_of(const Setup& s) {
  return str(s.causal ? "causal, " : "", s.queries, " queries, ", s.keys, " keys, ", s.heads,
             " heads over ", s.kv_heads);
}

// Scratch memory is each thread's own, and which thread takes which task is chance: with several,
// the peak would depend on how many processors there are and on what else they do.
struct OneThread {
  const int before = num_threads();
  OneThread() { set_num_threads(1); }
  ~OneThread() { set_num_threads(before); }
};

// The highest number of bytes held during forward and backward, inputs included.
int64_t peak_of(const Case& c, const Attention& a, int64_t n) {
  release_cached_memory(kCpu);  // cached blocks may be twice as large as what is asked for
  int64_t before = memory_stats(kCpu).current_bytes;
  reset_peak_memory(kCpu);
  Leaves l = leaves_of(c, a, 1, n, n);
  Tensor out = a.forward(l.q, l.k, l.v, c.call());
  grad({out}, l.all, {out.detach()}, {.allow_unused = true});
  return memory_stats(kCpu).peak_bytes - before;
}

}  // namespace

void check_flops(Case& c) {
  for (const Setup& s : setups(c, 37)) {
    auto a = c.make(config_of(c, s));
    require_model(c, *a);
    AttentionShape shape = shape_of(c, a->config(), 2, s.queries, s.keys);
    Leaves l = leaves_of(c, *a, 2, s.queries, s.keys);
    auto compare = [&](const FlopCounter& counter, Pass pass) {
      Cost cost = a->cost(shape, pass);
      std::string where =
          str(name_of(s), pass == Pass::forward ? ", forward: " : ", backward: ", counter.flops(),
              " flops counted, cost() says ", cost.flops);
      double counted = static_cast<double>(counter.flops());
      double said = static_cast<double>(std::max<int64_t>(cost.flops, 1));
      if (cost.upper_bound) c.at_most(counted / said, 1, where + " at most");
      else c.at_most(std::fabs(counted / said - 1), 0, where);
    };
    Tensor out;
    {
      FlopCounter counter;
      out = a->forward(l.q, l.k, l.v, c.call());
      compare(counter, Pass::forward);
    }
    FlopCounter counter;
    grad({out}, l.all, {out.detach()}, {.allow_unused = true});
    compare(counter, Pass::backward);
  }
}

// What the graph holds between forward and backward: inputs, saved tensors, results.
void check_activations(Case& c) {
  for (const Setup& s : setups(c, 200)) {
    auto a = c.make(config_of(c, s));
    require_model(c, *a);
    Cost cost = a->cost(shape_of(c, a->config(), 2, s.queries, s.keys), Pass::forward);
    double worst = 0;
    std::string where;
    for (int again = 0; again < 2; ++again) {  // in the second run, the layer's caches are filled
      int64_t before = live_bytes(kCpu);
      Leaves l = leaves_of(c, *a, 2, s.queries, s.keys);
      Tensor out = a->forward(l.q, l.k, l.v, c.call());
      int64_t held = live_bytes(kCpu) - before;
      worst = std::fabs(static_cast<double>(held) / static_cast<double>(cost.activation_bytes) - 1);
      where = str(name_of(s), ": ", held, " bytes held, cost() says ", cost.activation_bytes);
    }
    c.at_most(worst, 0.05, where);
  }
}

// Fits peak bytes ~ N^x: x must not exceed the exponent of activation_bytes.
void check_memory(Case& c) {
  constexpr int64_t small = 128, large = 512;
  OneThread one_thread;
  for (bool causal : c.forms) {
    auto a = c.make(config_of(c, {causal, large, large}));
    require_model(c, *a);
    auto bytes = [&](int64_t n) {
      Cost cost = a->cost(shape_of(c, a->config(), 1, n, n), Pass::forward);
      return static_cast<double>(cost.activation_bytes);
    };
    auto exponent = [](double at_small, double at_large) {
      return std::log(at_large / at_small) / std::log(double(large) / double(small));
    };
    peak_of(c, *a, large);  // fills scratch and caches of the layer
    double peak_small = static_cast<double>(peak_of(c, *a, small));
    double measured = exponent(peak_small, static_cast<double>(peak_of(c, *a, large)));
    double implied = exponent(bytes(small), bytes(large));
    c.at_most(measured, implied + 0.2,
              str(causal ? "causal: " : "", "peak memory grows as N^", measured,
                  ", activation_bytes as N^", implied));
  }
}

}  // namespace heed::nn::conformance
