// Word vocabulary: tokens are what stands between white space; decode joins them with one blank.
//
// Ids: 0 <pad>, 1 <unk>, 2 <bos>, 3 <eos>, then words by falling frequency, equal ones by their
// bytes: the same text gives the same ids everywhere. File: UTF-8, one token a line, the id is the
// line number minus 1, the four specials come first. IoError (file and line) for missing specials,
// duplicates, bad UTF-8, empty lines, white space in a token.
//
//   WordVocab vocab = WordVocab::build(corpus.source, {.min_count = 2, .max_size = 10000});
#pragma once

#include <string>
#include <unordered_map>
#include <vector>

#include <heed/data/tokenizer.h>

namespace heed::data {

struct VocabOptions {
  int64_t min_count = 1;  // rarer words become <unk>
  int64_t max_size = 0;   // specials included; 0 = no limit
};

class WordVocab : public Tokenizer {
 public:
  // ValueError when no word is left.
  static WordVocab build(std::span<const std::string> lines, const VocabOptions& options = {});
  static WordVocab load(const std::string& file);

  std::vector<int64_t> encode(std::string_view text) const override;
  std::string decode(std::span<const int64_t> ids) const override;  // <unk> is written as "<unk>"
  std::string piece(int64_t id) const override;
  int64_t size() const override { return static_cast<int64_t>(tokens_.size()); }
  const char* kind() const override { return "word"; }
  int64_t id(std::string_view word) const;  // kUnk when unknown, or the name of a special

 protected:
  const char* file_name() const override { return "vocab.txt"; }
  void save_file(const std::string& file) const override;

 private:
  struct Hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
  };
  explicit WordVocab(std::vector<std::string> tokens);
  std::vector<std::string> tokens_;
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> ids_;  // without the specials
};

}  // namespace heed::data
