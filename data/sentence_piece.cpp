#include <heed/data/sentence_piece.h>

#include <sentencepiece_processor.h>

#include <filesystem>
#include <fstream>

#include <heed/core/error.h>
#include <heed/data/sentence_piece_check.h>
#include <heed/data/utf8.h>

namespace heed::data {

namespace {
constexpr uintmax_t kMaxModelBytes = uintmax_t{1} << 28;
}  // namespace

struct SentencePiece::Model {
  std::string bytes;
  sentencepiece::SentencePieceProcessor processor;
};

SentencePiece::SentencePiece(std::string bytes, const std::string& name)
    : model_(std::make_unique<Model>()) {
  check_sentence_piece_model(bytes, name);
  auto status = model_->processor.LoadFromSerializedProto(bytes);
  if (!status.ok()) throw IoError(str(name, ": not a SentencePiece model"));
  model_->bytes = std::move(bytes);
  keeps_whitespace_ = !encode("  ").empty();
}
SentencePiece::~SentencePiece() = default;
SentencePiece::SentencePiece(SentencePiece&&) noexcept = default;
SentencePiece& SentencePiece::operator=(SentencePiece&&) noexcept = default;

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
  if (!status.ok()) throw ValueError("SentencePiece: this text cannot be encoded");
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
  if (!status.ok()) throw ValueError("SentencePiece: these tokens cannot be decoded");
  return text;
}

std::string SentencePiece::piece(int64_t id) const {
  check_id(id);
  return model_->processor.IdToPiece(static_cast<int>(id));
}

std::optional<unsigned char> SentencePiece::byte(int64_t id) const {
  check_id(id);
  if (!model_->processor.IsByte(static_cast<int>(id))) return {};
  // Written <0xHH>, as the check of the model saw to.
  return static_cast<unsigned char>(std::stoi(piece(id).substr(3, 2), nullptr, 16));
}

int64_t SentencePiece::size() const { return model_->processor.GetPieceSize(); }
const std::string& SentencePiece::model() const { return model_->bytes; }

}  // namespace heed::data
