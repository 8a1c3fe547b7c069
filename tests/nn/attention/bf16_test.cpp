// Every variant in bf16 against itself in f32, from the same numbers, which bf16 holds exactly:
// output, gradients of q, k, v and of parameters, and decoded rows. Both choose the same keys where
// a variant chooses (topk, lsh): it searches in f32, on numbers that are equal.
#include <cmath>

#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/catalog.h>
#include <heed/tests/support/catch.h>

using namespace heed;

namespace {

constexpr int64_t kBatch = 2, kHeads = 2, kWidth = 8;
constexpr int64_t kTokens = 70;  // a decoding step reads more than one piece of bf16 keys
// 5e-3 is what docs/design.md allows one op that rounds its result to bf16. A variant rounds two
// numbers in sequence at most, luong's W^T q or svd's factors before the result, and the errors of
// independent roundings add up as squares: sqrt(2) 5e-3.
constexpr double kTolerance = 7e-3;

// What bf16 holds of normal numbers, in `dtype`.
Tensor numbers(uint64_t seed, DType dtype) {
  Shape shape{kBatch, kHeads, kTokens, kWidth};
  return Tensor(random_normal(shape, 0, 1, {seed, 0})).to(DType::bf16).to(dtype);
}

struct Run {
  std::vector<std::string> names;
  std::vector<std::vector<double>> values;
  void add(const std::string& name, const Tensor& t) {
    names.push_back(name);
    values.push_back(t.defined() ? t.to_vector() : std::vector<double>());
  }
};

Run run(const std::string& spec, bool causal, DType dtype) {
  manual_seed(7);
  nn::AttentionConfig config;
  config.heads = config.kv_heads = kHeads;
  config.head_dim = config.value_dim = kWidth;
  config.max_length = kTokens;
  config.causal = causal;
  auto a = nn::make_attention(spec, config);
  a->to(DType::bf16);  // rounds parameters and buffers
  a->to(dtype);
  nn::Traits traits = a->traits();
  Tensor q = numbers(1, dtype), k = traits.shared_qk ? q : numbers(2, dtype), v = numbers(3, dtype);
  nn::AttentionCall call;
  call.random = {5, 0};
  if (traits.key_padding) call.mask = nn::Mask::padding({kTokens - 7, kTokens});

  for (Tensor* x : {&q, &k, &v}) x->set_requires_grad(true);
  Tensor out = a->forward(q, k, v, call);
  REQUIRE(out.dtype() == dtype);
  out.backward(numbers(4, dtype));
  Run result;
  result.add("output", out);
  result.add("gradient of q", q.grad());
  if (!traits.shared_qk) result.add("gradient of k", k.grad());
  result.add("gradient of v", v.grad());
  for (const auto& [name, parameter] : a->named_parameters())
    result.add("gradient of " + name, parameter.grad());

  if (traits.decode == nn::DecodeKind::none || !(causal || traits.cross)) return result;
  a->eval();
  NoGrad guard;
  auto state = a->new_state(kBatch, kTokens, dtype, kCpu);
  if (!causal) {  // an encoder's memory
    a->absorb(k.detach(), v.detach(), call, *state);
    result.add("decoded rows", a->step(q.detach(), Tensor(), Tensor(), {}, *state));
    return result;
  }
  call.mask = {};
  std::vector<Tensor> rows;
  for (int64_t t = 0; t < kTokens; ++t) {
    auto token = [&](const Tensor& x) { return x.detach().slice(2, t, t + 1); };
    Tensor key = traits.shared_qk ? token(q) : token(k);
    rows.push_back(a->step(token(q), key, token(v), call, *state));
    REQUIRE(rows.back().dtype() == dtype);
  }
  result.add("decoded rows", concat(rows, 2));
  return result;
}

double rms(const std::vector<double>& x) {
  double total = 0;
  for (double v : x) total += v * v;
  return std::sqrt(total / std::max<double>(1, static_cast<double>(x.size())));
}

// RMS(a - b) / max(RMS(b), 1e-2): inputs and cotangents have RMS 1.
double error(const std::vector<double>& a, const std::vector<double>& b) {
  std::vector<double> d(a.size());
  for (size_t i = 0; i < a.size(); ++i) d[i] = a[i] - b[i];
  return rms(d) / std::max(rms(b), 1e-2);
}

}  // namespace

TEST_CASE("every variant computes in bf16 what it computes in f32", "[bf16]") {
  int checked = 0;
  for (const nn::AttentionEntry& entry : nn::attention_catalog()) {
    std::vector<std::string> options = entry.checked;
    options.insert(options.begin(), "");
    for (const std::string& option : options)
      for (bool causal : {false, true}) {
        std::string spec = entry.name + (option.empty() ? "" : ":" + option);
        INFO(spec << (causal ? " causal" : ""));
        Run wide;
        try {
          wide = run(spec, causal, DType::f32);
        } catch (const ValueError&) {
          continue;  // the traits exclude it
        }
        Run narrow;
        CHECK_NOTHROW(narrow = run(spec, causal, DType::bf16));
        CHECK(narrow.names == wide.names);
        for (size_t i = 0; i < narrow.names.size(); ++i) {
          INFO(narrow.names[i]);
          REQUIRE(narrow.values[i].size() == wide.values[i].size());
          CHECK(error(narrow.values[i], wide.values[i]) <= kTolerance);
        }
        ++checked;
      }
  }
  CHECK(checked > 2 * static_cast<int>(nn::attention_catalog().size()));
}
