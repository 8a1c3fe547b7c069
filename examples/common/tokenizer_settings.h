// Which tokenizer a program learns from its text.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <heed/data/sentence_piece.h>
#include <heed/data/vocab.h>

#include "checks.h"
#include "settings.h"

namespace heed::examples {

struct TokenizerSettings {
  std::string kind;
  int64_t vocab_size = 0;
  bool byte_fallback = false, keep_whitespace = false;
};

inline Settings settings_of(TokenizerSettings& s, const std::string& kinds) {
  return {
      {"tokenizer", &s.kind, kinds},
      {"vocab-size", &s.vocab_size, "of bpe and unigram; of word at most so many, 0 = all"},
      {"byte-fallback", &s.byte_fallback,
       "bpe, unigram: characters without a token of their own become bytes instead of <unk>"},
      {"keep-whitespace", &s.keep_whitespace,
       "bpe, unigram: text as it is, with all its blanks; for code"},
  };
}

inline void check(const TokenizerSettings& s, const std::vector<std::string>& kinds) {
  require_one_of("--tokenizer", s.kind, kinds);
  require_in_range({{"--vocab-size", s.vocab_size, s.kind == "word" ? 0 : 8}});
  bool pieces = s.kind == "bpe" || s.kind == "unigram";
  require(pieces || !s.byte_fallback, "--byte-fallback needs --tokenizer bpe or unigram");
  require(pieces || !s.keep_whitespace, "--keep-whitespace needs --tokenizer bpe or unigram");
}

// word, bpe or unigram.
inline std::unique_ptr<data::Tokenizer> make_tokenizer(const TokenizerSettings& s,
                                                       const std::vector<std::string>& lines) {
  if (s.kind == "word")
    return std::make_unique<data::WordVocab>(
        data::WordVocab::build(lines, {.max_size = s.vocab_size}));
  data::SentencePieceOptions options{.vocab_size = s.vocab_size,
                                     .algorithm = s.kind == "bpe"
                                                      ? data::SentencePieceAlgorithm::bpe
                                                      : data::SentencePieceAlgorithm::unigram,
                                     .byte_fallback = s.byte_fallback,
                                     .keep_whitespace = s.keep_whitespace};
  return std::make_unique<data::SentencePiece>(data::SentencePiece::train(lines, options));
}

}  // namespace heed::examples
