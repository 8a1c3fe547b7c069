#include <heed/backends/lsh.h>

#include <algorithm>
#include <vector>

#include <heed/core/parallel.h>

namespace heed::kernels::common {
namespace {

using List = std::vector<int32_t>;

// The search of one head.
struct Head {
  const LshProblem& p;
  int64_t queries, keys, offset, key_begin, key_end, query_begin, query_end;
  std::vector<List> found;  // of each query

  Head(const LshProblem& problem, int64_t b)
      : p(problem),
        queries(p.query_hash.dim(3)),
        keys(p.key_hash.dim(3)),
        offset(p.offset.data<int64_t>()[b]),
        key_begin(p.key_begin.data<int64_t>()[b]),
        key_end(p.key_end.data<int64_t>()[b]),
        query_begin(p.query_begin.data<int64_t>()[b]),
        query_end(p.query_end.data<int64_t>()[b]),
        found(static_cast<size_t>(queries)) {}

  List& of(int64_t i) { return found[static_cast<size_t>(i)]; }

  void causal_round(const int32_t* query_bucket, const int32_t* key_bucket) {
    std::vector<List> members(static_cast<size_t>(p.buckets));
    int64_t j = key_begin;
    for (int64_t i = query_begin; i < query_end; ++i) {
      for (; j < key_end && j < i + offset; ++j)
        members[static_cast<size_t>(key_bucket[j])].push_back(static_cast<int32_t>(j));
      const List& mine = members[static_cast<size_t>(query_bucket[i])];
      int64_t count = std::min<int64_t>(p.chunk - 1, static_cast<int64_t>(mine.size()));
      of(i).insert(of(i).end(), mine.end() - count, mine.end());
    }
  }

  void chunked_round(const int32_t* query_bucket, const int32_t* key_bucket) {
    std::vector<List> members(static_cast<size_t>(p.buckets));
    for (int64_t j = key_begin; j < key_end; ++j)
      members[static_cast<size_t>(key_bucket[j])].push_back(static_cast<int32_t>(j));
    std::vector<int64_t> first;  // index of each bucket's first key in the order by bucket
    int64_t total = 0;
    for (const List& m : members) {
      first.push_back(total);
      total += static_cast<int64_t>(m.size());
    }
    for (int64_t i = query_begin; i < query_end; ++i) {
      // The query's index in that order, by its own position.
      const size_t bucket = static_cast<size_t>(query_bucket[i]);
      const List& mine = members[bucket];
      auto own = std::lower_bound(mine.begin(), mine.end(), static_cast<int32_t>(i + offset));
      int64_t at = (first[bucket] + (own - mine.begin())) / p.chunk;
      int64_t begin = std::max<int64_t>(0, (at - 1) * p.chunk - first[bucket]);
      int64_t end =
          std::min<int64_t>(static_cast<int64_t>(mine.size()), (at + 1) * p.chunk - first[bucket]);
      if (begin < end) of(i).insert(of(i).end(), mine.begin() + begin, mine.begin() + end);
    }
  }

  void write(int64_t length, int32_t* index) {
    for (int64_t i = 0; i < queries; ++i, index += length) {
      List& list = of(i);
      int64_t own = i + offset;
      bool valid = i >= query_begin && i < query_end && own >= key_begin && own < key_end;
      if (valid) list.push_back(static_cast<int32_t>(own));
      std::sort(list.begin(), list.end());
      list.erase(std::unique(list.begin(), list.end()), list.end());
      std::fill(std::copy(list.begin(), list.end(), index), index + length, -1);
    }
  }
};

}  // namespace

void lsh_candidates(const LshProblem& p, const Array& index) {
  const int64_t heads = index.dim(1), rounds = p.query_hash.dim(2), length = index.dim(3);
  parallel_for(index.dim(0) * heads, 1, [&](int64_t begin, int64_t end) {
    for (int64_t n = begin; n < end; ++n) {
      Head head(p, n / heads);
      for (int64_t r = 0; r < rounds; ++r) {
        const int32_t* query = p.query_hash.data<int32_t>() + (n * rounds + r) * head.queries;
        const int32_t* key = p.key_hash.data<int32_t>() + (n * rounds + r) * head.keys;
        if (p.causal) head.causal_round(query, key);
        else head.chunked_round(query, key);
      }
      head.write(length, index.data<int32_t>() + n * head.queries * length);
    }
  });
}

}  // namespace heed::kernels::common
