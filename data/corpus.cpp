#include <heed/data/corpus.h>

#include <algorithm>

#include <heed/core/error.h>
#include <heed/data/utf8.h>

namespace heed::data {

namespace {
void check_empty(const std::string& file, int64_t line, const char* what) {
  throw IoError(str(file, ":", line, ": empty ", what,
                    ", text expected (skip_empty, --skip-empty in training, would drop the pair)"));
}

void require_some(const ParallelCorpus& corpus, const std::string& file) {
  if (corpus.size() == 0)
    throw IoError(str(file, ": no sentence pair in it",
                      corpus.skipped ? str(" (", corpus.skipped, " empty ones skipped)") : ""));
}
}  // namespace

ParallelCorpus read_parallel(const std::string& source, const std::string& target,
                             const CorpusOptions& options) {
  ParallelCorpus corpus;
  LineReader a(source), b(target);
  std::string x, y;
  while (true) {
    bool more_a = a.next(x), more_b = b.next(y);
    if (more_a != more_b) {
      while (a.next(x)) {
      }
      while (b.next(y)) {
      }
      throw IoError(str("parallel files differ in length: ", source, " has ", a.line_number(),
                        " lines, ", target, " has ", b.line_number()));
    }
    if (!more_a) break;
    bool blank_x = is_blank(x), blank_y = is_blank(y);
    if (blank_x || blank_y) {
      if (!options.skip_empty) check_empty(blank_x ? source : target, a.line_number(), "line");
      ++corpus.skipped;
      continue;
    }
    corpus.source.push_back(x);
    corpus.target.push_back(y);
    corpus.line.push_back(a.line_number());
  }
  require_some(corpus, source);
  return corpus;
}

ParallelCorpus read_tsv(const std::string& file, const CorpusOptions& options) {
  ParallelCorpus corpus;
  LineReader reader(file);
  for (std::string line; reader.next(line);) {
    auto tabs = std::count(line.begin(), line.end(), '\t');
    if (tabs == 0 && is_blank(line) && options.skip_empty) {
      ++corpus.skipped;
      continue;
    }
    if (tabs != 1)
      throw IoError(str(file, ":", reader.line_number(), ": ", tabs,
                        " tabs, exactly one expected: source<TAB>target"));
    size_t tab = line.find('\t');
    std::string x = line.substr(0, tab), y = line.substr(tab + 1);
    if (is_blank(x) || is_blank(y)) {
      if (!options.skip_empty)
        check_empty(file, reader.line_number(), is_blank(x) ? "source" : "target");
      ++corpus.skipped;
      continue;
    }
    corpus.source.push_back(std::move(x));
    corpus.target.push_back(std::move(y));
    corpus.line.push_back(reader.line_number());
  }
  require_some(corpus, file);
  return corpus;
}

}  // namespace heed::data
