#include <heed/data/sentence_piece_check.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <unordered_set>

#include <heed/core/error.h>
#include <heed/data/tokenizer.h>
#include <heed/data/utf8.h>

namespace heed::data {

namespace {
constexpr uint64_t kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6;

struct Field {
  uint32_t number = 0, wire = 0;
  uint64_t value = 0;      // wire 0 and 5
  std::string_view bytes;  // wire 2
  size_t offset = 0;       // of bytes or value, in the file
};

// The fields of one message, in order.
class Message {
 public:
  Message(std::string_view file, size_t begin, size_t size, const std::string& name)
      : file_(file), at_(begin), end_(begin + size), name_(name) {}

  bool next(Field& field) {
    if (at_ == end_) return false;
    uint64_t key = varint();
    field = {static_cast<uint32_t>(key >> 3), static_cast<uint32_t>(key & 7), 0, {}, at_};
    if (key >> 3 == 0 || key >> 3 >= uint64_t{1} << 29) fail("field number out of range");
    switch (field.wire) {
      case 0: field.value = varint(); break;
      case 1: skip(8); break;
      case 5:
        field.offset = at_;
        skip(4);
        field.value = little_endian(field.offset);
        break;
      case 2: {
        uint64_t size = varint();
        if (size > end_ - at_)
          fail(str("length ", size, " is more than the ", end_ - at_, " bytes that follow"));
        field.offset = at_;
        field.bytes = file_.substr(at_, size);
        at_ += size;
        break;
      }
      default: fail(str("wire type ", field.wire, ", 0, 1, 2 or 5 expected"));
    }
    return true;
  }
  Message inside(const Field& field) const {
    if (field.wire != 2)
      fail(str("field ", field.number, " has wire type ", field.wire, ", 2 expected"));
    return {file_, field.offset, field.bytes.size(), name_};
  }
  [[noreturn]] void fail(const std::string& what) const {
    throw IoError(str(name_, ": not a SentencePiece model: ", what, " (offset ", at_, ")"));
  }
  void require(bool holds, const std::string& what) const {
    if (!holds) fail(what);
  }

 private:
  uint64_t little_endian(size_t at) const {
    uint32_t value;
    std::memcpy(&value, file_.data() + at, 4);
    return value;
  }
  void skip(size_t size) {
    if (size > end_ - at_) fail("the data end early");
    at_ += size;
  }
  uint64_t varint() {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
      if (at_ == end_) fail("the data end early");
      auto byte = static_cast<unsigned char>(file_[at_++]);
      value |= uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return value;
    }
    fail("number of more than ten bytes");
  }

  std::string_view file_;
  size_t at_, end_;
  const std::string& name_;
};

void check_charsmap(const Message& at, std::string_view blob) {
  if (blob.empty()) return;  // the identity
  auto unit_at = [&](uint64_t i) {
    uint32_t unit;
    std::memcpy(&unit, blob.data() + 4 + 4 * i, 4);
    return unit;
  };
  at.require(blob.size() > 4, "charsmap without a trie");
  uint32_t trie_bytes;
  std::memcpy(&trie_bytes, blob.data(), 4);
  at.require(trie_bytes % 4 == 0 && trie_bytes > 0 && trie_bytes < blob.size() - 4,
             str("charsmap of ", blob.size(), " bytes says that its trie has ", trie_bytes));
  std::string_view replacements = blob.substr(4 + size_t{trie_bytes});
  at.require(replacements.back() == '\0', "charsmap does not end with NUL");
  uint64_t units = trie_bytes / 4;
  for (uint64_t i = 0; i < units; ++i) {
    uint32_t unit = unit_at(i);
    if (i != 0 && unit >> 31) continue;  // a value: no label equals it
    uint64_t base = i ^ (uint64_t{unit >> 10} << ((unit & 0x200) >> 6));
    at.require((base | 255) < units,
               str("charsmap: unit ", i, " leads to unit ", base, " of ", units));
    if ((unit & 0x100) && (unit_at(base) & 0x7fffffff) >= replacements.size())
      at.fail(str("charsmap: unit ", i, " has its replacement outside of ", replacements.size(),
                  " bytes"));
  }
}

bool is_byte_piece(std::string_view text) {
  auto hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F'); };
  return text.size() == 6 && text.starts_with("<0x") && hex(text[3]) && hex(text[4]) &&
         text[5] == '>';
}

void check_piece(Message piece, size_t id, std::unordered_set<std::string_view>& seen) {
  std::string_view text;
  uint64_t type = kNormal;
  for (Field field; piece.next(field);) {
    if (field.number == 1) {
      piece.inside(field);
      text = field.bytes;
    } else if (field.number == 2) {
      piece.require(field.wire == 5, str("piece ", id, ": score is not a float"));
      uint32_t bits = static_cast<uint32_t>(field.value);
      float score;
      std::memcpy(&score, &bits, 4);
      piece.require(std::isfinite(score), str("piece ", id, ": score is not finite"));
    } else if (field.number == 3) {
      piece.require(field.wire == 0 && field.value >= 1 && field.value <= 6,
                    str("piece ", id, ": unknown type"));
      type = field.value;
    }
  }
  piece.require(!text.empty() && text.find('\0') == text.npos && utf8_error(text) == text.npos,
                str("piece ", id, ": UTF-8 text without NUL expected"));
  piece.require(type != kByte || is_byte_piece(text),
                str("piece ", id, ": of type byte, but not written <0xHH>"));
  piece.require(seen.insert(text).second, str("piece ", id, " occurs twice"));
  uint64_t expected = id == kUnk ? kUnknown : kControl;
  if (id < kSpecialTokens)
    piece.require(type == expected,
                  str("ids 0, 1, 2, 3 are not pad, unk, bos, eos: piece ", id, " has type ", type));
  else piece.require(type != kUnknown, str("piece ", id, " is a second unknown"));
}
}  // namespace

void check_sentence_piece_model(std::string_view bytes, const std::string& name) {
  Message model(bytes, 0, bytes.size(), name);
  std::unordered_set<std::string_view> seen;
  uint64_t model_type = 1;
  for (Field field; model.next(field);) {
    if (field.number == 1) {
      check_piece(model.inside(field), seen.size(), seen);
    } else if (field.number == 2) {
      Message trainer = model.inside(field);
      for (Field f; trainer.next(f);)
        if (f.number == 3) model_type = f.wire == 0 ? f.value : 0;
    } else if (field.number == 3 || field.number == 5) {
      Message normalizer = model.inside(field);
      for (Field f; normalizer.next(f);) {
        if (f.number != 2) continue;
        normalizer.inside(f);
        check_charsmap(normalizer, f.bytes);
      }
    }
  }
  model.require(seen.size() > kSpecialTokens,
                str("it has ", seen.size(), " pieces, more than 4 expected"));
  model.require(model_type == 1 || model_type == 2,
                str("model type ", model_type, ", 1 (unigram) or 2 (bpe) expected"));
}

}  // namespace heed::data
