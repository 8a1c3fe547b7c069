#include <heed/data/batches.h>

#include <algorithm>

#include <heed/core/error.h>
#include <heed/core/parallel.h>
#include <heed/data/epoch_plan.h>
#include <heed/data/ids.h>
#include <heed/data/shuffle.h>

namespace heed::data {

namespace {
int64_t length(const std::vector<int64_t>& ids) { return static_cast<int64_t>(ids.size()); }
int64_t source_length(const TokenPair& p) { return length(p.source); }
int64_t target_length(const TokenPair& p) { return length(p.target) + 1; }
int64_t longer(const TokenPair& p) { return std::max(source_length(p), target_length(p)); }
}  // namespace

PairBatches::PairBatches(std::vector<TokenPair> pairs, const BatchOptions& options)
    : pairs_(std::move(pairs)), options_(options), plan_(std::make_shared<EpochPlan<Plan>>()) {
  if (options.max_tokens < 1 || options.max_length < 1)
    throw ValueError(str("PairBatches: max_tokens and max_length >= 1 expected, got ",
                         options.max_tokens, " and ", options.max_length));
  if (pairs_.empty()) throw ValueError("PairBatches: no pairs given");
  for (size_t i = 0; i < pairs_.size(); ++i) {
    const TokenPair& p = pairs_[i];
    if (p.source.empty() || p.target.empty())
      throw ValueError(
          str("PairBatches: pair ", i, " has an empty ", p.source.empty() ? "source" : "target"));
    auto who = [i] { return str("PairBatches: pair ", i); };
    require_ids(p.source, options.source_vocab, who);
    require_ids(p.target, options.target_vocab, who);
    if (longer(p) > options.max_length || longer(p) > options.max_tokens) ++dropped_;
    else order_.push_back(static_cast<int64_t>(i));
  }
  if (order_.empty())
    throw ValueError(str("PairBatches: all ", pairs_.size(), " pairs are longer than max_length ",
                         options.max_length, " or max_tokens ", options.max_tokens));
}

PairBatches::Plan PairBatches::make_plan(int64_t epoch) const {
  std::vector<int64_t> rows = order_;
  if (options_.shuffle) {
    Generator generator = epoch_generator(options_.seed, epoch, 0);
    shuffle(rows, generator);
  }
  // By the longer side, then by the other: little padding on either. Equal ones stay shuffled.
  std::stable_sort(rows.begin(), rows.end(), [&](int64_t a, int64_t b) {
    const TokenPair &p = pair(a), &q = pair(b);
    auto key = [](const TokenPair& x) {
      return std::pair(longer(x), source_length(x) + target_length(x));
    };
    return key(p) < key(q);
  });
  Plan plan;
  for (int64_t row : rows) {  // sorted, so each row is the longest of its batch so far
    int64_t rows_then = plan.empty() ? 0 : static_cast<int64_t>(plan.back().size()) + 1;
    if (plan.empty() || rows_then * longer(pair(row)) > options_.max_tokens) plan.emplace_back();
    plan.back().push_back(row);
  }
  if (options_.shuffle) {
    Generator generator = epoch_generator(options_.seed, epoch, 1);
    shuffle(plan, generator);
  }
  return plan;
}

std::shared_ptr<const PairBatches::Plan> PairBatches::plan(int64_t epoch) const {
  if (epoch < 0) throw ValueError(str("PairBatches: epoch >= 0 expected, got ", epoch));
  return plan_->get(epoch, [&] { return make_plan(epoch); });
}

int64_t PairBatches::count(int64_t epoch) const {
  return static_cast<int64_t>(plan(epoch)->size());
}

std::vector<int64_t> PairBatches::rows_of(int64_t epoch, int64_t index) const {
  auto batches = plan(epoch);
  if (index < 0 || index >= static_cast<int64_t>(batches->size()))
    throw ValueError(
        str("PairBatches: batch ", index, " of ", batches->size(), " in epoch ", epoch));
  return (*batches)[static_cast<size_t>(index)];
}

PairBatch PairBatches::get(int64_t epoch, int64_t index) const {
  return make(rows_of(epoch, index));
}

int64_t PairBatches::target_tokens(int64_t epoch, int64_t index) const {
  int64_t tokens = 0;
  for (int64_t row : rows_of(epoch, index)) tokens += target_length(pair(row));
  return tokens;
}

PairBatch PairBatches::make(std::span<const int64_t> rows) const {
  if (rows.empty()) throw ValueError("PairBatches: a batch of no rows");
  int64_t s = 0, t = 0, n = static_cast<int64_t>(rows.size());
  for (int64_t row : rows) {
    if (row < 0 || row >= static_cast<int64_t>(pairs_.size()))
      throw ValueError(str("PairBatches: row ", row, " of ", pairs_.size()));
    s = std::max(s, source_length(pair(row)));
    t = std::max(t, target_length(pair(row)));
  }
  static_assert(kPad == 0);
  PairBatch batch{Array::zeros({n, s}, DType::i64, kCpu),
                  Array::zeros({n, t}, DType::i64, kCpu),
                  Array::zeros({n, t}, DType::i64, kCpu),
                  {},
                  {},
                  {rows.begin(), rows.end()},
                  0};
  std::vector<int64_t> source_lengths, target_lengths;
  for (int64_t i = 0; i < n; ++i) {
    const TokenPair& p = pair(rows[static_cast<size_t>(i)]);
    std::copy(p.source.begin(), p.source.end(), batch.source.data<int64_t>() + i * s);
    int64_t* in = batch.target_in.data<int64_t>() + i * t;
    int64_t* out = batch.target_out.data<int64_t>() + i * t;
    *in = kBos;
    std::copy(p.target.begin(), p.target.end(), in + 1);
    *std::copy(p.target.begin(), p.target.end(), out) = kEos;
    source_lengths.push_back(source_length(p));
    target_lengths.push_back(target_length(p));
    batch.target_tokens += target_length(p);
  }
  batch.source_lengths = source_lengths;
  batch.target_lengths = target_lengths;
  return batch;
}

std::vector<TokenPair> encode_pairs(const Tokenizer& source_tokenizer,
                                    const Tokenizer& target_tokenizer,
                                    std::span<const std::string> source,
                                    std::span<const std::string> target) {
  if (source.size() != target.size())
    throw ValueError(
        str("encode_pairs: ", source.size(), " source and ", target.size(), " target lines"));
  std::vector<TokenPair> pairs(source.size());
  parallel_for(static_cast<int64_t>(source.size()), 256, [&](int64_t begin, int64_t end) {
    for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(end); ++i)
      pairs[i] = {source_tokenizer.encode(source[i]), target_tokenizer.encode(target[i])};
  });
  return pairs;
}

}  // namespace heed::data
