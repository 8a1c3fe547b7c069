// How attention's backward is divided into tasks. A task takes the heads that share a key head, and
// all or some of their tiles of queries, so that dK and dV are sums in a fixed order; the sums of
// several tasks are kept in separate buffers and added afterwards. There are no atomics: the same
// shape and number of threads give the same bits.
#include <heed/backends/cpu/attention_backward.h>
#include <heed/backends/cpu/dispatch.h>
#include <heed/backends/cpu/widen.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {
namespace {

// A unit is one key head of one batch row.
struct Partition {
  int64_t units, parts;  // each unit's query tiles go to `parts` tasks
  bool one_by_one;       // units share a gradient of the bias, so they run one after the other
};

template <class T>
Partition partition(const AttentionProblem& p, const AttentionGradients& g) {
  int64_t units = p.k.dim(0) * p.k.dim(1), threads = num_threads();
  int64_t tiles = (p.q.dim(2) + kTileLanes<T> - 1) / kTileLanes<T>;
  int64_t parts = units % threads == 0 || units >= 4 * threads ? 1 : smaller(tiles, threads);
  bool shared = false;
  if (g.bias.defined()) {
    shared = g.bias.dim(0) < p.q.dim(0) || g.bias.dim(1) < p.q.dim(1);
    if (shared) parts = smaller(tiles, threads);
    if (g.bias.dim(2) < p.q.dim(2)) parts = 1;  // query tiles share it too
  }
  return {units, larger(1, parts), shared};
}

template <class T>
class Tasks {
 public:
  Tasks(const Backward<T>& backward, Partition cut, int64_t group, T* sums, double* bucket_sums)
      : backward_(backward), cut_(cut), group_(group), sums_(sums), bucket_sums_(bucket_sums) {}

  void run() {
    const int64_t tasks = cut_.units * cut_.parts;
    if (cut_.one_by_one) {
      for (int64_t unit = 0; unit < cut_.units; ++unit)
        parallel_tasks(cut_.parts, [&](int64_t part) {
          work(unit * cut_.parts + part, unit * cut_.parts + part + 1);
        });
    } else {
      const int64_t pieces = smaller(tasks, larger(8 * num_threads(), tasks / 8));
      parallel_tasks(pieces,
                     [&](int64_t n) { work(n * tasks / pieces, (n + 1) * tasks / pieces); });
    }
    if (cut_.parts > 1)
      parallel_tasks(cut_.units, [&](int64_t unit) {
        backward_.write_keys(unit, cut_.parts, sums_ + unit * cut_.parts * backward_.key_sums());
      });
  }

  // [H, buckets]: the sums of all batch rows and parts.
  void write_table(int64_t batch, int64_t kv_heads, T* table) const {
    const int64_t each = group_ * backward_.buckets();
    for (int64_t n = 0; n < kv_heads * each; ++n) {
      double sum = 0;
      for (int64_t b = 0; b < batch; ++b)
        for (int64_t part = 0; part < cut_.parts; ++part)
          sum += bucket_sums_[((b * kv_heads + n / each) * cut_.parts + part) * each + n % each];
      table[n] = static_cast<T>(sum);
    }
  }

 private:
  void work(int64_t begin, int64_t end) {
    Backward<T> mine = backward_;
    const int64_t bytes = mine.scratch_bytes(), own = mine.key_sums();
    const int64_t all_bytes = bytes + (cut_.parts > 1 ? 0 : own * static_cast<int64_t>(sizeof(T)));
    common::with_scratch(all_bytes, [&](char* memory) {
      mine.use(memory);
      for (int64_t n = begin; n < end; ++n) {
        T* sums = cut_.parts > 1 ? sums_ + n * own : reinterpret_cast<T*>(memory + bytes);
        mine.unit(n / cut_.parts, n % cut_.parts, cut_.parts, sums,
                  bucket_sums_ + n * group_ * mine.buckets());
        if (cut_.parts == 1) mine.write_keys(n, 1, sums);
      }
    });
  }

  const Backward<T>& backward_;
  Partition cut_;
  int64_t group_;
  T* sums_;              // [task, key_sums()] where units have several parts
  double* bucket_sums_;  // [task, group, buckets]
};

template <class T>
void run(const AttentionProblem& p, const Array& out, const Array& lse, const Array& cotangent,
         const Array& lse_cotangent, const AttentionGradients& g) {
  const Partition cut = partition<T>(p, g);
  const Backward<T> backward(p, out, lse, cotangent, lse_cotangent, g);
  const int64_t group = p.q.dim(1) / p.k.dim(1), tasks = cut.units * cut.parts;
  auto layout = [&](Scratch scratch, T*& sums, double*& bucket_sums) {
    sums = scratch.take<T>(cut.parts > 1 ? tasks * backward.key_sums() : 0);
    bucket_sums = scratch.take<double>(tasks * group * backward.buckets());
    return scratch.used();
  };
  T* sums;
  double* bucket_sums;
  common::with_scratch(layout(Scratch(), sums, bucket_sums), [&](char* memory) {
    layout(Scratch(memory), sums, bucket_sums);
    Tasks<T> all(backward, cut, group, sums, bucket_sums);
    all.run();
    if (backward.buckets() > 0)
      all.write_table(p.k.dim(0), p.k.dim(1), static_cast<T*>(g.relative_table.raw()));
  });
}

}  // namespace

void attention_backward(const AttentionProblem& problem, const Array& out, const Array& lse,
                        const Array& cotangent, const Array& lse_cotangent,
                        const AttentionGradients& gradients) {
  if (problem.q.dim(0) * problem.k.dim(1) == 0) return;
  common::in_f32(problem, [&](const AttentionProblem& p) {
    common::in_f32(gradients, [&](const AttentionGradients& g) {
      dispatch_wide("attention_backward", p.q.dtype(), [&](auto type) {
        run<decltype(type)>(p, common::widened(out), lse, common::widened(cotangent), lse_cotangent,
                            g);
      });
    });
  });
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
