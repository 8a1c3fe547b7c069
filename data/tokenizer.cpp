#include <heed/data/tokenizer.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include <heed/core/error.h>
#include <heed/data/lines.h>
#include <heed/data/sentence_piece.h>
#include <heed/data/vocab.h>

namespace heed::data {

using nlohmann::json;

void Tokenizer::check_id(int64_t id) const {
  if (id < 0 || id >= size())
    throw ValueError(str("decode: id ", id, " is outside the vocabulary of ", size()));
}

void Tokenizer::save(const std::string& directory) const {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) throw IoError(str(directory, ": cannot make the directory: ", error.message()));
  json description = {{"kind", kind()}};
  if (*file_name()) {
    description["file"] = file_name();
    save_file(directory + "/" + file_name());
  }
  std::string path = directory + "/tokenizer.json";
  std::ofstream out(path, std::ios::binary);
  out << description.dump(1) << '\n';
  out.flush();
  if (!out) throw IoError(str(path, ": cannot write"));
}

std::unique_ptr<Tokenizer> load_tokenizer(const std::string& directory) {
  std::string path = directory + "/tokenizer.json";
  std::string text = read_text(path);
  auto fail = [&](const std::string& what) { throw IoError(str(path, ": ", what)); };
  if (text.size() > 65536) fail(str(text.size(), " bytes, a few lines expected"));
  json description = json::parse(text, nullptr, false);
  if (description.is_discarded() || !description.is_object()) fail("not a JSON object");
  auto field = [&](const char* name) -> std::string {
    auto it = description.find(name);
    if (it == description.end() || !it->is_string())
      fail(str("field '", name, "' missing or not a string"));
    return it->get<std::string>();
  };
  std::string kind = field("kind");
  if (kind == "byte") return std::make_unique<ByteTokenizer>();
  if (kind != "word" && kind != "sentencepiece")
    fail(str("unknown kind '", kind, "': word, sentencepiece or byte expected"));
  std::string file = field("file");
  // A name, not a path: nothing outside the directory is ever opened.
  if (file.empty() || file == "." || file == ".." ||
      file.find_first_of(std::string_view("/\\\0", 3)) != std::string::npos)
    fail(str("field 'file': a plain file name expected, got '", file, "'"));
  if (kind == "word") return std::make_unique<WordVocab>(WordVocab::load(directory + "/" + file));
  return std::make_unique<SentencePiece>(SentencePiece::load(directory + "/" + file));
}

std::vector<int64_t> ByteTokenizer::encode(std::string_view text) const {
  std::vector<int64_t> ids;
  ids.reserve(text.size());
  for (char c : text) ids.push_back(static_cast<unsigned char>(c) + kSpecialTokens);
  return ids;
}

std::string ByteTokenizer::decode(std::span<const int64_t> ids) const {
  std::string out;
  for (int64_t id : ids) {
    check_id(id);
    if (id >= kSpecialTokens) out.push_back(static_cast<char>(id - kSpecialTokens));
  }
  return out;
}

std::optional<unsigned char> ByteTokenizer::byte(int64_t id) const {
  check_id(id);
  if (id < kSpecialTokens) return {};
  return static_cast<unsigned char>(id - kSpecialTokens);
}

std::string ByteTokenizer::piece(int64_t id) const {
  check_id(id);
  static constexpr const char* kSpecials[] = {"<pad>", "<unk>", "<bos>", "<eos>"};
  if (id < kSpecialTokens) return kSpecials[id];
  unsigned char value = *byte(id);
  if (value > 0x20 && value < 0x7F) return std::string(1, static_cast<char>(value));
  static constexpr char kHex[] = "0123456789ABCDEF";
  return std::string("<") + kHex[value >> 4] + kHex[value & 15] + ">";
}

}  // namespace heed::data
