// Training of a SentencePiece tokenizer.
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <algorithm>
#include <unordered_map>

#include <heed/core/config.h>
#include <heed/core/error.h>
#include <heed/data/sentence_piece.h>
#include <heed/data/utf8.h>

namespace heed::data {

namespace {
// The library leaves out lines beyond 4,192 bytes. It looks at words only, so a line may be cut
// where a blank begins a word.
constexpr size_t kMostBytes = 4000;
constexpr std::string_view kReserved = "\xE2\x96\x85";  // U+2585, its mark of an unknown character

// Where a part of `line` that begins at `begin` ends.
size_t part_end(std::string_view line, size_t begin) {
  if (line.size() - begin <= kMostBytes) return line.size();
  size_t end = begin + kMostBytes;
  size_t blank = line.rfind(' ', end);
  while (blank != line.npos && blank > begin && line[blank - 1] == ' ') --blank;
  if (blank != line.npos && blank > begin) return blank;
  while ((static_cast<unsigned char>(line[end]) & 0xC0) == 0x80) --end;  // within a character
  return end;
}

// The line without what the library keeps to itself; whether there was any.
bool remove_reserved(std::string& line) {
  size_t size = line.size();
  std::erase(line, '\0');
  for (size_t at; (at = line.find(kReserved)) != line.npos;) line.erase(at, kReserved.size());
  return line.size() < size;
}

// The text in parts that the library takes.
class Parts : public sentencepiece::SentenceIterator {
 public:
  explicit Parts(const std::vector<std::string>& lines) : lines_(lines) { find(); }
  bool done() const override { return at_ == lines_.size(); }
  void Next() override {
    begin_ += part_.size();
    find();
  }
  const std::string& value() const override { return part_; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  void find() {
    while (at_ < lines_.size() && begin_ >= lines_[at_].size()) {
      ++at_;
      begin_ = 0;
    }
    if (done()) return;
    const std::string& line = lines_[at_];
    part_ = line.substr(begin_, part_end(line, begin_) - begin_);
  }

  const std::vector<std::string>& lines_;
  size_t at_ = 0, begin_ = 0;
  std::string part_;
};

using Arguments = std::unordered_map<std::string, std::string>;

Arguments arguments(const SentencePieceOptions& options) {
  bool bpe = options.algorithm == SentencePieceAlgorithm::bpe;
  Arguments out = {
      {"model_type", bpe ? "bpe" : "unigram"},
      {"vocab_size", std::to_string(options.vocab_size)},
      {"character_coverage", str(options.character_coverage)},
      {"hard_vocab_limit", "false"},
      {"pad_id", "0"},
      {"unk_id", "1"},
      {"bos_id", "2"},
      {"eos_id", "3"},
      {"pad_piece", "<pad>"},
      {"unk_piece", "<unk>"},
      {"bos_piece", "<bos>"},
      {"eos_piece", "<eos>"},
      {"num_threads", "2"},  // fixed: sums of counts must not depend on the machine
      {"minloglevel", "3"},
  };
  if (options.byte_fallback || options.keep_whitespace) out["byte_fallback"] = "true";
  if (options.keep_whitespace) {
    out["normalization_rule_name"] = "identity";
    out["add_dummy_prefix"] = "false";
    out["remove_extra_whitespaces"] = "false";
    out["allow_whitespace_only_pieces"] = "true";
  }
  return out;
}

// The bytes of a model; empty when the library refuses.
std::string trained(const std::vector<std::string>& lines, const Arguments& arguments) {
  Parts parts(lines);
  std::string bytes;
  auto status = sentencepiece::SentencePieceTrainer::Train(arguments, &parts, &bytes);
  return status.ok() ? bytes : std::string();
}

// How many tokens there must be: the special ones, bytes where they are wanted, and one for each
// character. A model of characters has just these.
int64_t smallest_vocabulary(const std::vector<std::string>& lines, Arguments arguments) {
  arguments["model_type"] = "char";
  arguments["vocab_size"] = "2000000";
  std::string bytes = trained(lines, arguments);
  sentencepiece::SentencePieceProcessor model;
  if (bytes.empty() || !model.LoadFromSerializedProto(bytes).ok()) return 0;
  return model.GetPieceSize();
}

void check(const SentencePieceOptions& options) {
  if (options.vocab_size <= kSpecialTokens || options.vocab_size > 1'000'000)
    throw ValueError(
        str("SentencePiece: vocab_size from 5 to 1000000 expected, got ", options.vocab_size));
  if (!(options.character_coverage > 0.98 && options.character_coverage <= 1))
    throw ValueError(str("SentencePiece: character_coverage in (0.98, 1] expected, got ",
                         options.character_coverage));
}
}  // namespace

SentencePiece SentencePiece::train(std::span<const std::string> lines,
                                   const SentencePieceOptions& options) {
  check(options);
  std::vector<std::string> text(lines.begin(), lines.end());
  int64_t with_reserved = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (utf8_error(text[i]) != std::string::npos)
      throw ValueError(str("SentencePiece: line ", i + 1, " is not valid UTF-8"));
    with_reserved += remove_reserved(text[i]);
  }
  if (std::all_of(text.begin(), text.end(), is_blank))
    throw ValueError(str("SentencePiece: no text to train on in ", lines.size(), " lines"));
  if (with_reserved > 0)
    log(LogLevel::info,
        str("SentencePiece: U+2585 and NUL, which it keeps to itself, were left out "
            "of ",
            with_reserved, " of ", lines.size(), " lines to train on"));

  Arguments settings = arguments(options);
  std::string bytes = trained(text, settings);
  if (bytes.empty()) {
    int64_t smallest = smallest_vocabulary(text, settings);
    throw ValueError(options.vocab_size < smallest
                         ? str("SentencePiece: vocab_size of at least ", smallest,
                               " expected, got ", options.vocab_size,
                               ": the characters of this text need as many")
                         : "SentencePiece: this text cannot be trained on");
  }
  SentencePiece model(std::move(bytes), "SentencePiece: trained model");
  if (model.size() < options.vocab_size)
    log(LogLevel::info, str("SentencePiece: the text gives ", model.size(), " tokens, not the ",
                            options.vocab_size, " asked for"));
  return model;
}

}  // namespace heed::data
