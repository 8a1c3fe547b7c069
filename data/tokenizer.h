// Text to ids and back. Every tokenizer reserves the same four ids, so that models need not ask
// which one it is.
//
// In a directory (a checkpoint's, say) a tokenizer is `tokenizer.json`, {"kind": "word", "file":
// "vocab.txt"}, and the file that it names, which must lie in the same directory.
//
//   auto tokenizer = load_tokenizer("runs/toy/tokenizer");
//   std::vector<int64_t> ids = tokenizer->encode("the cat sleeps .");   // without bos and eos
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace heed::data {

inline constexpr int64_t kPad = 0, kUnk = 1, kBos = 2, kEos = 3;
inline constexpr int64_t kSpecialTokens = 4;

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;
  // Const functions may be called from several threads at once.

  // Never adds bos or eos. Text that names a special token ("<eos>") does not become that token.
  virtual std::vector<int64_t> encode(std::string_view text) const = 0;
  // Leaves out pad, bos and eos. ValueError for ids outside [0, size()).
  virtual std::string decode(std::span<const int64_t> ids) const = 0;
  // One token as text, for labels: "<eos>", "cat", "▁cat".
  virtual std::string piece(int64_t id) const = 0;
  virtual int64_t size() const = 0;
  virtual const char* kind() const = 0;
  // The byte that this token is, if it is one: characters may need several such tokens.
  virtual std::optional<unsigned char> byte(int64_t) const { return {}; }
  // Whether decode(encode(x)) has all of x's white space.
  virtual bool keeps_whitespace() const { return false; }
  // Writes both files; makes the directory if it is missing. IoError.
  void save(const std::string& directory) const;

 protected:
  virtual const char* file_name() const = 0;
  virtual void save_file(const std::string& file) const = 0;
  void check_id(int64_t id) const;
};

// IoError: names the file and what is wrong with it.
std::unique_ptr<Tokenizer> load_tokenizer(const std::string& directory);

// Every byte is a token (id = byte + 4): no training, no unknown text, lossless. For language
// models on small text.
class ByteTokenizer : public Tokenizer {
 public:
  std::vector<int64_t> encode(std::string_view text) const override;
  std::string decode(std::span<const int64_t> ids) const override;
  std::string piece(int64_t id) const override;
  int64_t size() const override { return 256 + kSpecialTokens; }
  const char* kind() const override { return "byte"; }
  std::optional<unsigned char> byte(int64_t id) const override;
  bool keeps_whitespace() const override { return true; }

 protected:
  const char* file_name() const override { return ""; }
  void save_file(const std::string&) const override {}
};

}  // namespace heed::data
