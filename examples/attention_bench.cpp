// Attention variants beside dense attention: time and memory of one call, without projections.
//   attention_bench linear performer:features=128 --tokens 1024,4096 --train
//   attention_bench nystrom:landmarks=64 linformer:k=256 --tokens 8192
//   attention_bench linear efficient --decode --tokens 1024,8192,65536
// `composed` is dense attention of primitives (scores, softmax, product), `dense` the fused kernel.
// Each figure is the median of --runs; memory is the most that was held beyond the operands; `work`
// is the share of dense attention's contractions, as cost() has it. A `-` stands for what does not
// fit into memory (--memory-limit; with --decode that is an error). With several lengths the last
// lines say with which power of the length the time of a call grows: the slope of log time over log
// length, by least squares.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/core/memory.h>
#include <heed/core/parallel.h>
#include <heed/core/random.h>
#include <heed/nn/attention/catalog.h>
#include <heed/nn/attention/dense.h>

#include "common/checks.h"
#include "common/cli.h"

using namespace heed;

namespace {

struct Request {
  std::vector<std::string> specs;
  std::vector<int64_t> tokens{4096};
  int64_t batch = 1, heads = 8, head_dim = 64, runs = 5, threads = 0, memory_limit = 0;
  bool causal = false, train = false, decode = false;
};

constexpr double kNone = std::numeric_limits<double>::quiet_NaN();

struct Figure {  // NaN: it does not fit into memory
  double milliseconds = kNone, mebibytes = kNone;
};

double median(std::vector<double> x) {
  std::nth_element(x.begin(), x.begin() + static_cast<int64_t>(x.size() / 2), x.end());
  return x[x.size() / 2];
}

Figure measure(int64_t runs, const std::function<void()>& f) try {
  f();
  Figure figure;
  std::vector<double> times;
  for (int64_t i = 0; i < runs; ++i) {
    int64_t before = memory_stats().current_bytes;
    reset_peak_memory();
    auto start = std::chrono::steady_clock::now();
    f();
    std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
    times.push_back(took.count());
    figure.mebibytes = static_cast<double>(memory_stats().peak_bytes - before) / (1 << 20);
  }
  figure.milliseconds = median(times);
  return figure;
} catch (const OutOfMemoryError&) {
  release_cached_memory();
  return {};
}

// A number in so many columns, or a dash.
std::string column(const char* format, int width, double x) {
  char text[32];
  if (std::isnan(x)) std::snprintf(text, sizeof text, "%*s", width, "-");
  else std::snprintf(text, sizeof text, format, width, x);
  return text;
}

// With which power of the length the time grows.
class Growth {
 public:
  void add(const std::string& name, int64_t tokens, double milliseconds) {
    if (std::isnan(milliseconds)) return;
    auto found = std::find_if(all_.begin(), all_.end(), [&](auto& x) { return x.name == name; });
    if (found == all_.end()) found = all_.insert(all_.end(), {name, {}});
    found->points.emplace_back(std::log(static_cast<double>(tokens)), std::log(milliseconds));
  }

  void print() const {
    for (const auto& [name, points] : all_)
      if (points.size() > 1)
        std::printf("time grows with tokens^%.2f (%zu lengths): %s\n", slope(points), points.size(),
                    name.c_str());
  }

 private:
  using Points = std::vector<std::pair<double, double>>;
  struct Series {
    std::string name;
    Points points;
  };

  static double slope(const Points& points) {
    double x = 0, y = 0, xx = 0, xy = 0;
    for (auto [a, b] : points) x += a, y += b;
    x /= static_cast<double>(points.size()), y /= static_cast<double>(points.size());
    for (auto [a, b] : points) xx += (a - x) * (a - x), xy += (a - x) * (b - y);
    return xy / xx;
  }

  std::vector<Series> all_;
};

// One call, forward or forward and backward, on [B, H, N, D] as projections give it.
class Call {
 public:
  Call(const Request& r, int64_t n) : request_(r) {
    manual_seed(1);
    for (Tensor* x : {&q_, &k_, &v_, &cotangent_})
      *x = randn({r.batch, n, r.heads, r.head_dim}).transpose(1, 2).detach();
    if (r.train)
      for (Tensor* x : {&q_, &k_, &v_}) x->set_requires_grad(true);
  }

  Figure of(const nn::Attention& attention, bool composed = false) const {
    auto* dense = composed ? &dynamic_cast<const nn::DenseAttention&>(attention) : nullptr;
    std::vector<Tensor> leaves{q_, k_, v_};
    for (const Tensor& p : attention.parameters()) leaves.push_back(p);
    return measure(request_.runs, [&] {
      nn::AttentionCall call;
      call.random = {1, 0};
      if (!request_.train) {
        NoGrad guard;
        static_cast<void>(dense ? dense->reference(q_, k_, v_, call)
                                : attention.forward(q_, k_, v_, call));
        return;
      }
      Tensor out = dense ? dense->reference(q_, k_, v_, call) : attention.forward(q_, k_, v_, call);
      grad({out}, leaves, {cotangent_}, {.allow_unused = true});
    });
  }

 private:
  const Request& request_;
  Tensor q_, k_, v_, cotangent_;
};

nn::AttentionConfig config_for(const Request& r, int64_t n) {
  return {.heads = r.heads,
          .kv_heads = r.heads,
          .head_dim = r.head_dim,
          .value_dim = r.head_dim,
          .max_length = n,
          .causal = r.causal || r.decode};
}

double work(const Request& r, const nn::Attention& attention, const nn::Attention& dense,
            int64_t n) {
  nn::AttentionShape shape{.batch = r.batch,
                           .heads = r.heads,
                           .kv_heads = r.heads,
                           .queries = n,
                           .keys = n,
                           .head_dim = r.head_dim,
                           .value_dim = r.head_dim};
  auto flops = [&](const nn::Attention& a) {
    int64_t sum = a.cost(shape, nn::Pass::forward).flops;
    if (r.train) sum += a.cost(shape, nn::Pass::backward).flops;
    return static_cast<double>(sum);
  };
  return flops(attention) / flops(dense);
}

void calls(const Request& r) {
  std::printf("forward%s, batch %lld, %lld heads of %lld, f32%s, %d threads\n",
              r.train ? " + backward" : "", static_cast<long long>(r.batch),
              static_cast<long long>(r.heads), static_cast<long long>(r.head_dim),
              r.causal ? ", causal" : "", num_threads());
  std::printf("%8s  %-32s %10s %10s  %13s %14s  %10s %7s\n", "tokens", "attention", "ms", "MiB",
              "composed / ms", "composed / MiB", "dense / ms", "work");
  Growth growth;
  for (int64_t n : r.tokens) {
    std::optional<Call> call;
    try {
      call.emplace(r, n);
    } catch (const OutOfMemoryError&) {  // not even the operands fit
    }
    auto time = [&](const nn::Attention& attention, bool is_composed = false) {
      return call ? call->of(attention, is_composed) : Figure{};
    };
    auto dense = nn::make_attention("dense", config_for(r, n));
    Figure composed = time(*dense, true), fused = time(*dense);
    auto line = [&](const char* name, Figure f, double share) {
      std::printf("%8lld  %-32s %s %s  %s %s  %s %7.4f\n", static_cast<long long>(n), name,
                  column("%*.2f", 10, f.milliseconds).c_str(),
                  column("%*.1f", 10, f.mebibytes).c_str(),
                  column("%*.2f", 13, composed.milliseconds / f.milliseconds).c_str(),
                  column("%*.2f", 14, composed.mebibytes / f.mebibytes).c_str(),
                  column("%*.2f", 10, fused.milliseconds / f.milliseconds).c_str(), share);
      std::fflush(stdout);
      growth.add(name, n, f.milliseconds);
    };
    line("composed", composed, 1);
    line("dense", fused, 1);
    for (const std::string& spec : r.specs) {
      if (spec == "dense") continue;  // it has its line
      auto attention = nn::make_attention(spec, config_for(r, n));
      line(spec.c_str(), time(*attention), work(r, *attention, *dense, n));
    }
  }
  growth.print();
}

// A state that holds n tokens, and the time of one more; every measured step is undone.
struct Decoding {
  static constexpr int64_t kSteps = 64;
  int64_t tokens;
  std::unique_ptr<nn::Attention> attention;
  std::unique_ptr<nn::DecodeState> state;
  Tensor q, k, v;
  std::vector<double> microseconds{};

  Decoding(const Request& r, const std::string& spec, int64_t n) : tokens(n) {
    manual_seed(1);
    attention = nn::make_attention(spec, config_for(r, n + kSteps));
    auto rows = [&](int64_t count) { return randn({r.batch, r.heads, count, r.head_dim}); };
    state = attention->new_state(r.batch, n + kSteps, default_dtype(), default_device());
    constexpr int64_t part = 4096;
    for (int64_t at = 0; at < n; at += part) {
      int64_t count = std::min(part, n - at);
      attention->absorb(rows(count), rows(count), {}, *state);
    }
    q = rows(1), k = rows(1), v = rows(1);
  }

  void run() {
    auto copy = state->clone();
    auto start = std::chrono::steady_clock::now();
    for (int64_t i = 0; i < kSteps; ++i) attention->step(q, k, v, {}, *copy);
    std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - start;
    microseconds.push_back(took.count() / kSteps);
  }
};

void decoding(const Request& r) {
  NoGrad guard;
  std::printf("one decoding step, batch %lld, %lld heads of %lld, f32, %d threads\n",
              static_cast<long long>(r.batch), static_cast<long long>(r.heads),
              static_cast<long long>(r.head_dim), num_threads());
  std::printf("%8s  %-32s %11s %14s  %16s\n", "tokens", "attention", "us", "state KiB",
              "/ first length");
  for (const std::string& spec : r.specs) {
    std::vector<Decoding> all;
    for (int64_t n : r.tokens) all.emplace_back(r, spec, n);
    // In turn, so that the other load of the machine affects all lengths alike.
    for (int64_t run = 0; run <= r.runs; ++run)
      for (Decoding& d : all) {
        d.run();
        if (run == 0) d.microseconds.clear();  // warm-up
      }
    double first = median(all[0].microseconds);
    for (const Decoding& d : all) {
      double us = median(d.microseconds);
      std::printf("%8lld  %-32s %11.2f %14.1f  %16.3f\n", static_cast<long long>(d.tokens),
                  spec.c_str(), us, static_cast<double>(d.state->bytes()) / 1024, us / first);
      std::fflush(stdout);
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("times attention variants beside dense attention", "attention_bench");
  Request r;
  app.add_option("attention", r.specs, "variants, name:key=value,..")->required();
  app.add_option("--tokens", r.tokens, "lengths")->delimiter(',');
  app.add_option("--batch", r.batch);
  app.add_option("--heads", r.heads);
  app.add_option("--head-dim", r.head_dim);
  app.add_option("--runs", r.runs, "each figure is the median of so many");
  app.add_option("--threads", r.threads, "0 = all processors");
  app.add_option("--memory-limit", r.memory_limit, "MiB of tensors at most; 0 = no limit");
  app.add_flag("--causal", r.causal);
  app.add_flag("--train", r.train, "forward and backward");
  app.add_flag("--decode", r.decode, "one token more after so many, with the decoding state");
  return examples::run_cli(app, argc, argv, [&] {
    examples::require_in_range({{"--batch", r.batch, 1},
                                {"--heads", r.heads, 1},
                                {"--head-dim", r.head_dim, 1},
                                {"--runs", r.runs, 1},
                                {"--memory-limit", r.memory_limit, 0, examples::kMostMebibytes}});
    for (int64_t n : r.tokens) examples::require_in_range({{"--tokens", n, 1}});
    std::sort(r.tokens.begin(), r.tokens.end());
    r.tokens.erase(std::unique(r.tokens.begin(), r.tokens.end()), r.tokens.end());
    examples::set_threads(r.threads);
    examples::limit_memory(r.memory_limit);
    if (r.decode) decoding(r);
    else calls(r);
    return 0;
  });
}
