// Sentence pairs from files, read by lines.h (plain or .gz), with its errors.
//
// Two aligned files: line i of one belongs to line i of the other. TSV: `source<TAB>target`,
// exactly one tab. A side without a visible character (utf8.h) is an IoError naming file and line,
// unless `skip_empty`, which drops the pair and counts it. Unequal line counts: IoError naming both
// files and counts. No pair at all: IoError.
#pragma once

#include <string>
#include <vector>

#include <heed/data/lines.h>

namespace heed::data {

struct CorpusOptions {
  bool skip_empty = false;
};

struct ParallelCorpus {
  std::vector<std::string> source, target;
  std::vector<int64_t>
      line{};           // of each pair in its files, from 1; empty where pairs were generated
  int64_t skipped = 0;  // pairs dropped by skip_empty
  int64_t size() const { return static_cast<int64_t>(source.size()); }
};

ParallelCorpus read_parallel(const std::string& source, const std::string& target,
                             const CorpusOptions& options = {});
ParallelCorpus read_tsv(const std::string& path, const CorpusOptions& options = {});

}  // namespace heed::data
