// Sub-word tokenizer: SentencePiece (Kudo and Richardson 2018), unigram or BPE. Text is normalised
// (NFKC, runs of white space become one blank) and cut into pieces; decode puts them together
// again, so it needs no word splitter.
//
// Ids: 0 <pad>, 1 <unk>, 2 <bos>, 3 <eos>, then the pieces. Train on both languages at once for one
// joint vocabulary. Training is deterministic: the same lines and options give the same bytes.
//
// Lines of any length are used whole. The library keeps U+2585 and NUL to itself: they are left out
// of the text to train on, and the log says of how many lines; it also says when the text gives
// fewer tokens than were asked for.
//
//   SentencePieceOptions options{.vocab_size = 6000, .algorithm = SentencePieceAlgorithm::bpe};
//   SentencePiece joint = SentencePiece::train(lines, options);
//
// Files are SentencePiece's own model files (.model). load() checks a file before the library sees
// it (sentence_piece_check.h), since the library itself crashes on some.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <heed/data/tokenizer.h>

namespace heed::data {

enum class SentencePieceAlgorithm { unigram, bpe };

struct SentencePieceOptions {
  int64_t vocab_size = 8000;  // at most: small text gives fewer
  SentencePieceAlgorithm algorithm = SentencePieceAlgorithm::unigram;
  // Part of the text whose characters get a piece of their own, in (0.98, 1].
  double character_coverage = 1.0;
  // Characters without a piece of their own become their UTF-8 bytes, each one of 256 further
  // tokens, instead of <unk>. decode turns bytes that are not valid UTF-8 into U+FFFD.
  bool byte_fallback = false;
  // For code: text as it is, neither normalised nor stripped. decode(encode(x)) = x unless x holds
  // U+2581 (decoded as a blank) or NUL. Has byte_fallback too.
  bool keep_whitespace = false;
};

class SentencePiece : public Tokenizer {
 public:
  // ValueError: no text, a vocabulary too small for its characters (says what they need), options
  // out of range, invalid UTF-8.
  static SentencePiece train(std::span<const std::string> lines,
                             const SentencePieceOptions& options = {});
  // IoError: cannot be read, malformed, not unigram or BPE, or pad, unk, bos and eos are not ids 0
  // to 3.
  static SentencePiece load(const std::string& file);
  ~SentencePiece() override;
  SentencePiece(SentencePiece&&) noexcept;
  SentencePiece& operator=(SentencePiece&&) noexcept;

  std::vector<int64_t> encode(std::string_view text) const override;
  std::string decode(std::span<const int64_t> ids) const override;  // <unk> is written as " ⁇ "
  std::string piece(int64_t id) const override;
  int64_t size() const override;
  const char* kind() const override { return "sentencepiece"; }
  std::optional<unsigned char> byte(int64_t id) const override;
  bool keeps_whitespace() const override { return keeps_whitespace_; }
  const std::string& model() const;  // the bytes of the model file

 protected:
  const char* file_name() const override { return "sentencepiece.model"; }
  void save_file(const std::string& file) const override;

 private:
  struct Model;
  SentencePiece(std::string bytes, const std::string& name);
  std::unique_ptr<Model> model_;
  bool keeps_whitespace_ = false;
};

}  // namespace heed::data
