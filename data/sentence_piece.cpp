#include <heed/data/sentence_piece.h>

#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <filesystem>
#include <fstream>

#include <heed/core/error.h>
#include <heed/data/sentence_piece_check.h>
#include <heed/data/utf8.h>

namespace heed::data {

namespace {
constexpr uintmax_t kMaxModelBytes = uintmax_t{1} << 28;

class Lines : public sentencepiece::SentenceIterator {
 public:
  explicit Lines(std::span<const std::string> lines) : lines_(lines) {}
  bool done() const override { return at_ == lines_.size(); }
  void Next() override { ++at_; }
  const std::string& value() const override { return lines_[at_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  std::span<const std::string> lines_;
  size_t at_ = 0;
};
}  // namespace

struct SentencePiece::Model {
  std::string bytes;
  sentencepiece::SentencePieceProcessor processor;
};

SentencePiece::SentencePiece(std::string bytes, const std::string& name)
    : model_(std::make_unique<Model>()) {
  check_sentence_piece_model(bytes, name);
  auto status = model_->processor.LoadFromSerializedProto(bytes);
  if (!status.ok()) throw IoError(str(name, ": not a SentencePiece model: ", status.message()));
  model_->bytes = std::move(bytes);
}
SentencePiece::~SentencePiece() = default;
SentencePiece::SentencePiece(SentencePiece&&) noexcept = default;
SentencePiece& SentencePiece::operator=(SentencePiece&&) noexcept = default;

SentencePiece SentencePiece::train(std::span<const std::string> lines,
                                   const SentencePieceOptions& options) {
  if (options.vocab_size <= kSpecialTokens || options.vocab_size > 1'000'000)
    throw ValueError(
        str("SentencePiece: vocab_size from 5 to 1000000 expected, got ", options.vocab_size));
  if (!(options.character_coverage > 0.98 && options.character_coverage <= 1))
    throw ValueError(str("SentencePiece: character_coverage in (0.98, 1] expected, got ",
                         options.character_coverage));
  bool some = false;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (utf8_error(lines[i]) != std::string::npos)
      throw ValueError(str("SentencePiece: line ", i + 1, " is not valid UTF-8"));
    some |= !is_blank(lines[i]);
  }
  if (!some)
    throw ValueError(str("SentencePiece: no text to train on in ", lines.size(), " lines"));

  bool bpe = options.algorithm == SentencePieceAlgorithm::bpe;
  Lines iterator(lines);
  std::string bytes;
  // A fixed number of threads: sums of counts must not depend on the machine.
  auto status = sentencepiece::SentencePieceTrainer::Train(
      {{"model_type", bpe ? "bpe" : "unigram"},
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
       {"num_threads", "2"},
       {"minloglevel", "3"}},
      &iterator, &bytes);
  if (!status.ok()) throw ValueError(str("SentencePiece: training failed: ", status.message()));
  return SentencePiece(std::move(bytes), "SentencePiece: trained model");
}

SentencePiece SentencePiece::load(const std::string& file) {
  std::error_code error;
  auto size = std::filesystem::file_size(file, error);
  if (error) throw IoError(str(file, ": cannot read: ", error.message()));
  if (size > kMaxModelBytes)
    throw IoError(str(file, ": ", size, " bytes, at most ", kMaxModelBytes, " expected"));
  std::ifstream in(file, std::ios::binary);
  std::string bytes(size, '\0');
  if (!in.read(bytes.data(), static_cast<std::streamsize>(size)))
    throw IoError(str(file, ": cannot read"));
  return SentencePiece(std::move(bytes), file);
}

void SentencePiece::save_file(const std::string& file) const {
  std::ofstream out(file, std::ios::binary);
  out << model_->bytes;
  out.flush();
  if (!out) throw IoError(str(file, ": cannot write"));
}

std::vector<int64_t> SentencePiece::encode(std::string_view text) const {
  std::vector<int> ids;
  auto status = model_->processor.Encode({text.data(), text.size()}, &ids);
  if (!status.ok()) throw ValueError(str("SentencePiece: cannot encode: ", status.message()));
  return {ids.begin(), ids.end()};
}

std::string SentencePiece::decode(std::span<const int64_t> ids) const {
  std::vector<int> kept;
  for (int64_t id : ids) {
    check_id(id);
    if (id != kPad && id != kBos && id != kEos) kept.push_back(static_cast<int>(id));
  }
  std::string text;
  auto status = model_->processor.Decode(kept, &text);
  if (!status.ok()) throw ValueError(str("SentencePiece: cannot decode: ", status.message()));
  return text;
}

std::string SentencePiece::piece(int64_t id) const {
  check_id(id);
  return model_->processor.IdToPiece(static_cast<int>(id));
}

int64_t SentencePiece::size() const { return model_->processor.GetPieceSize(); }
const std::string& SentencePiece::model() const { return model_->bytes; }

}  // namespace heed::data
