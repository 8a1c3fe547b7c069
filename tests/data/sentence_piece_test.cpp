#include <heed/data/sentence_piece.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <set>

#include <heed/core/config.h>
#include <heed/core/error.h>
#include <heed/data/sentence_piece_check.h>
#include <heed/data/toy_translation.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/variable.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Ids = std::vector<int64_t>;
using Texts = std::vector<std::string>;

namespace {
const Texts& text() {
  static const Texts lines = [] {
    ParallelCorpus pairs = make_toy_pairs(1500, 1);
    Texts all = pairs.source;
    all.insert(all.end(), pairs.target.begin(), pairs.target.end());
    return all;
  }();
  return lines;
}
const SentencePiece& unigram() {
  static const SentencePiece model = SentencePiece::train(text(), {.vocab_size = 400});
  return model;
}

// Protobuf by hand.
std::string varint(uint64_t n) {
  std::string out;
  for (; n >= 0x80; n >>= 7) out.push_back(static_cast<char>(n | 0x80));
  out.push_back(static_cast<char>(n));
  return out;
}
std::string field(int number, const std::string& bytes) {
  return varint(static_cast<uint64_t>(number) << 3 | 2) + varint(bytes.size()) + bytes;
}
std::string field(int number, uint64_t value) {
  return varint(static_cast<uint64_t>(number) << 3) + varint(value);
}
std::string field(int number, float value) {
  std::string out = varint(static_cast<uint64_t>(number) << 3 | 5) + std::string(4, '\0');
  std::memcpy(out.data() + out.size() - 4, &value, 4);
  return out;
}
std::string piece(const std::string& text, float score = -1, uint64_t type = 1) {
  return field(1, field(1, text) + field(2, score) + field(3, type));
}
const std::string kSpecials =
    piece("<pad>", 0, 3) + piece("<unk>", 0, 2) + piece("<bos>", 0, 3) + piece("<eos>", 0, 3);
const std::string kSmall = kSpecials +
                           piece(
                               "\xE2\x96\x81"
                               "a") +
                           piece("b") + field(2, field(3, uint64_t{1}));

std::string says(const std::string& bytes) {
  return message_of<IoError>([&] { check_sentence_piece_model(bytes, "m.model"); });
}

std::string u32(uint32_t n) { return std::string(reinterpret_cast<const char*>(&n), 4); }
// A trie of `units` (the rest of 256 empty) and the replacements.
std::string charsmap(std::vector<uint32_t> units, const std::string& replacements) {
  units.resize(256, 0);
  std::string out = u32(1024);
  for (uint32_t unit : units) out += u32(unit);
  return out + replacements;
}
std::string with_charsmap(const std::string& blob) { return kSmall + field(3, field(2, blob)); }
}  // namespace

TEST_CASE("SentencePiece: joint vocabulary, ids, there and back") {
  auto algorithm = GENERATE(SentencePieceAlgorithm::unigram, SentencePieceAlgorithm::bpe);
  SentencePiece model = SentencePiece::train(text(), {.vocab_size = 400, .algorithm = algorithm});
  CHECK(model.size() <= 400);
  CHECK(model.size() > 300);
  CHECK(model.piece(kPad) == "<pad>");
  CHECK(model.piece(kUnk) == "<unk>");
  CHECK(model.piece(kBos) == "<bos>");
  CHECK(model.piece(kEos) == "<eos>");
  for (const std::string& line : text()) {
    Ids ids = model.encode(line);
    REQUIRE(model.decode(ids) == line);
    for (int64_t id : ids) REQUIRE((id >= kSpecialTokens && id < model.size()));
  }
  // Special tokens: never made from text, left out of text.
  for (int64_t id : model.encode("<bos> cat <eos><pad>"))
    CHECK((id == kUnk || id >= kSpecialTokens));
  Ids framed = model.encode("the cat");
  framed.insert(framed.begin(), kBos);
  framed.insert(framed.end(), {kEos, kPad, kPad});
  CHECK(model.decode(framed) == "the cat");
  CHECK(model.encode("").empty());
  CHECK(model.decode(Ids{}) == "");
  CHECK(model.decode(model.encode("the \xF0\x9F\x98\x80 cat")).find("⁇") != std::string::npos);
  CHECK_THROWS_AS(model.decode(Ids{model.size()}), ValueError);
  CHECK_THROWS_AS(model.decode(Ids{-1}), ValueError);
  CHECK_THROWS_AS(model.piece(model.size()), ValueError);
}

TEST_CASE("SentencePiece: training is deterministic, saved and loaded the same") {
  SentencePiece again = SentencePiece::train(text(), {.vocab_size = 400});
  CHECK(again.model() == unigram().model());
  TempDir dir;
  again.save(dir / "t");
  auto loaded = load_tokenizer(dir / "t");
  CHECK(std::string(loaded->kind()) == "sentencepiece");
  CHECK(loaded->size() == again.size());
  CHECK(loaded->encode(text()[7]) == again.encode(text()[7]));
  CHECK(read_bytes(dir / "t" / "sentencepiece.model") == again.model());
  SentencePiece moved = std::move(again);
  CHECK(moved.encode(text()[7]) == loaded->encode(text()[7]));
}

TEST_CASE("SentencePiece: what cannot be trained") {
  CHECK_THROWS_AS(SentencePiece::train({}), ValueError);
  Texts blank = {"", "  "}, bad = {"a", "\xC3("};
  REQUIRE_THROWS_SAYING(SentencePiece::train(blank), ValueError, "no text to train on in 2 lines");
  REQUIRE_THROWS_SAYING(SentencePiece::train(bad), ValueError, "line 2 is not valid UTF-8");
  CHECK_THROWS_AS(SentencePiece::train(text(), {.vocab_size = 4}), ValueError);
  REQUIRE_THROWS_SAYING(SentencePiece::train(Texts{"abc cab"}, {.vocab_size = 6}), ValueError,
                        "vocab_size of at least 8 expected, got 6");  // a, b, c and the blank
  REQUIRE_THROWS_SAYING(
      SentencePiece::train(Texts{"abc cab"}, {.vocab_size = 200, .byte_fallback = true}),
      ValueError, "at least 264 expected, got 200");
  CHECK_THROWS_AS(SentencePiece::train(text(), {.character_coverage = 1.5}), ValueError);
}

TEST_CASE("SentencePiece: lines of any length are used whole") {
  auto algorithm = GENERATE(SentencePieceAlgorithm::unigram, SentencePieceAlgorithm::bpe);
  SentencePieceOptions options{.vocab_size = 300, .algorithm = algorithm};
  std::string joined;
  for (const std::string& line : text()) joined += (joined.empty() ? "" : " ") + line;
  REQUIRE(joined.size() > 50'000);
  SentencePiece words = SentencePiece::train(text(), options),
                long_line = SentencePiece::train(Texts{joined}, options);
  CHECK(long_line.size() == words.size());
  CHECK(long_line.decode(long_line.encode(joined)) == joined);
  if (algorithm == SentencePieceAlgorithm::bpe) CHECK(long_line.model() == words.model());

  std::string unbroken;  // one word, longer than what the library takes in BPE
  while (unbroken.size() < 70'000) unbroken += unbroken.size() % 3 ? "ab" : "b\xC3\xA4";
  SentencePiece one = SentencePiece::train(Texts{unbroken}, options);
  CHECK(one.decode(one.encode(unbroken)) == unbroken);
}

namespace {
std::vector<std::string> logged;
struct Logged {
  Logged() : level("HEED_LOG", "info") {
    logged.clear();
    set_log_handler([](LogLevel, std::string_view message) { logged.emplace_back(message); });
  }
  ~Logged() { set_log_handler(nullptr); }
  Variable level;
};
}  // namespace

TEST_CASE("SentencePiece: the log says what was left out, and that the vocabulary is small") {
  Logged log;
  Texts lines = {"red \xE2\x96\x85 blue", "red blue", std::string("blue\0red", 8), "green"};
  SentencePiece small = SentencePiece::train(lines, {.vocab_size = 500});
  REQUIRE(logged.size() == 2);
  CHECK_THAT(logged[0], ContainsSubstring("U+2585 and NUL") && ContainsSubstring("2 of 4 lines"));
  CHECK_THAT(logged[1],
             ContainsSubstring(str("gives ", small.size(), " tokens, not the 500 asked for")));
  CHECK(small.decode(small.encode("red blue green")) == "red blue green");

  logged.clear();
  CHECK(SentencePiece::train(text(), {.vocab_size = 60}).size() == 60);
  CHECK(logged.empty());
}

TEST_CASE("SentencePiece: bytes instead of <unk>") {
  SentencePiece model = SentencePiece::train(text(), {.vocab_size = 700, .byte_fallback = true});
  CHECK_FALSE(model.keeps_whitespace());
  std::string odd = "the \xF0\x9F\x98\x80 cat";
  Ids ids = model.encode(odd);
  CHECK(std::count(ids.begin(), ids.end(), kUnk) == 0);
  CHECK(model.decode(ids) == odd);
  std::string bytes;
  for (int64_t id : ids)
    if (auto byte = model.byte(id)) bytes += static_cast<char>(*byte);
  CHECK(bytes == "\xF0\x9F\x98\x80");
  // Not all bytes of a character.
  auto first = std::find_if(ids.begin(), ids.end(), [&](int64_t id) { return model.byte(id); });
  ids.erase(first);
  CHECK_THAT(model.decode(ids), ContainsSubstring("\xEF\xBF\xBD"));
  CHECK(model.decode(model.encode("<0x41>")) == "<0x41>");
}

TEST_CASE("SentencePiece: text with all its white space") {
  auto algorithm = GENERATE(SentencePieceAlgorithm::unigram, SentencePieceAlgorithm::bpe);
  Texts code = {"def f(x):", "    if x  >  3:", "        return x", "    return -x", "\tg = f"};
  Texts lines;
  for (int i = 0; i < 20; ++i) lines.insert(lines.end(), code.begin(), code.end());
  SentencePiece model = SentencePiece::train(
      lines, {.vocab_size = 320, .algorithm = algorithm, .keep_whitespace = true});
  CHECK(model.keeps_whitespace());
  CHECK(model.encode("        ").size() < 8);  // several blanks are one token
  Texts exact = code;
  for (const char* more : {" ",
                           "   ",
                           "a ",
                           " a",
                           "\t\t",
                           "a\r",
                           "\n",
                           "x\xC2\xA0y",
                           "\xE3\x80\x80",
                           "\xEF\xAC\x81 \xEF\xBC\xA1",
                           "e\xCC\x81",
                           "\xC2\xAD",
                           "\xE2\x80\x8B",
                           "\xEF\xBB\xBF",
                           "\xE2\x96\x85",
                           "\x01\x7F",
                           "\xF0\x9F\x98\x80",
                           "<eos>",
                           "<unk> <0x0A>",
                           "\xEF\xBF\xBD",
                           " \xE2\x81\x87 "})
    exact.push_back(more);
  for (const std::string& line : exact) {
    CAPTURE(line);
    Ids ids = model.encode(line);
    CHECK(model.decode(ids) == line);
    CHECK(std::all_of(ids.begin(), ids.end(), [](int64_t id) { return id >= kSpecialTokens; }));
  }
  CHECK(model.decode(model.encode("a\xE2\x96\x81"
                                  "b")) == "a b");
}

TEST_CASE("SentencePiece check: models of the library pass, and small ones made by hand") {
  CHECK(says(unigram().model()) == "");
  CHECK(says(kSmall) == "");
  TempDir dir;
  SentencePiece small = SentencePiece::load(dir.write("m", kSmall));
  CHECK(small.decode(small.encode("ab")) == "ab");
  CHECK(small.encode("ab") == Ids{4, 5});
  // One step from the root by 'b' (0x62) to a leaf whose value, in unit 0x63 ^ 1, is replacement 0.
  std::vector<uint32_t> units(256, 0);
  units[0] = 1u << 10;                        // offset 1
  units[1 ^ 0x62] = 0x100 | 0x62 | 2u << 10;  // label b, leaf, offset 2
  units[1 ^ 0x62 ^ 2] = 0x80000000;           // value 0
  CHECK(says(with_charsmap(charsmap(units, std::string("a\0", 2)))) == "");
  SentencePiece mapped =
      SentencePiece::load(dir.write("n", with_charsmap(charsmap(units, std::string("a\0", 2)))));
  CHECK(mapped.encode("b") ==
        mapped.encode("a"));  // it is normalised, so the layout above is the library's
}

TEST_CASE("SentencePiece check: charsmaps that would make the library read outside of them") {
  std::string nul("a\0", 2);
  auto map_says = [](const std::string& blob) { return says(with_charsmap(blob)); };
  CHECK(map_says(charsmap({}, nul)) == "");
  CHECK(map_says("") == "");
  CHECK_THAT(map_says("abc"), ContainsSubstring("charsmap without a trie"));
  for (uint32_t size : {0u, 1u, 1023u, 1025u, 1026u, 1028u, 0x7fffffffu, 0xffffffffu}) {
    std::string blob = charsmap({}, nul);
    std::memcpy(blob.data(), &size, 4);
    CAPTURE(size);
    CHECK_THAT(map_says(blob), ContainsSubstring("its trie has " + std::to_string(size)));
  }
  CHECK_THAT(map_says(charsmap({}, "")), ContainsSubstring("its trie has 1024"));
  CHECK_THAT(map_says(charsmap({}, "a")), ContainsSubstring("does not end with NUL"));
  // Offsets: of the root, of a labelled unit, with the shift by 8, and one just outside.
  CHECK_THAT(map_says(charsmap({0x7ffffc00}, nul)), ContainsSubstring("unit 0 leads to unit"));
  CHECK_THAT(map_says(charsmap({0xfffffc00}, nul)),
             ContainsSubstring("unit 0 leads to unit"));  // the root has no label to protect it
  CHECK_THAT(map_says(charsmap({0, 256u << 10 | 'b'}, nul)),
             ContainsSubstring("unit 1 leads to unit 257 of 256"));
  CHECK_THAT(map_says(charsmap({0, 0x200 | 1u << 10 | 'b'}, nul)),
             ContainsSubstring("unit 1 leads to unit 257 of 256"));
  CHECK(map_says(charsmap({0, 254u << 10 | 'b'}, nul)) == "");
  // Leaves: a value at and behind the end of the replacements.
  for (uint32_t value : {2u, 3u, 0x7fffffffu})
    CHECK_THAT(map_says(charsmap({0, 0x100 | 'b' | 2u << 10, 0, 0x80000000 | value}, nul)),
               ContainsSubstring("has its replacement outside of 2 bytes"));
  CHECK(map_says(charsmap({0, 0x100 | 'b' | 2u << 10, 0, 0x80000001}, nul)) == "");
  CHECK_THAT(says(kSmall + field(5, field(2, "abc"))),
             ContainsSubstring("charsmap without a trie"));  // the denormalizer's too
}

TEST_CASE("SentencePiece check: every offset of the real charsmap bent outwards is seen") {
  const std::string& model = unigram().model();
  // The trie begins behind the charsmap's length; find it by its size field, which leads exactly to
  // NUL-terminated text.
  size_t normalizer = model.find("nmt_nfkc");
  REQUIRE(normalizer != std::string::npos);
  size_t at = normalizer + 8 + 1;  // behind the name, the tag of field 2
  while (static_cast<unsigned char>(model[at]) & 0x80) ++at;
  ++at;
  uint32_t trie;
  std::memcpy(&trie, model.data() + at, 4);
  REQUIRE(trie % 1024 == 0);
  int bent = 0;
  for (size_t unit = 0; unit < trie / 4; unit += 499) {
    std::string broken = model;
    uint32_t value;
    std::memcpy(&value, model.data() + at + 4 + 4 * unit, 4);
    if (value >> 31) continue;
    value |= 0x7ffffc00;
    std::memcpy(broken.data() + at + 4 + 4 * unit, &value, 4);
    ++bent;
    REQUIRE_THAT(says(broken),
                 ContainsSubstring("unit " + std::to_string(unit) + " leads to unit"));
  }
  CHECK(bent > 20);
}

TEST_CASE("SentencePiece check: pieces") {
  auto with = [](const std::string& more) { return says(kSmall + more); };
  CHECK(with(piece("c")) == "");
  CHECK(with(piece("<0x0A>", 0, 6)) == "");
  CHECK_THAT(with(piece("")), ContainsSubstring("piece 6: UTF-8 text without NUL expected"));
  CHECK_THAT(with(field(1, field(2, 1.f))), ContainsSubstring("piece 6: UTF-8 text"));
  CHECK_THAT(with(piece("\xC3(")), ContainsSubstring("piece 6: UTF-8 text"));
  CHECK_THAT(with(piece(std::string("a\0b", 3))), ContainsSubstring("piece 6: UTF-8 text"));
  CHECK_THAT(with(piece("b")), ContainsSubstring("piece 6 occurs twice"));
  CHECK_THAT(with(piece("c", NAN)), ContainsSubstring("piece 6: score is not finite"));
  CHECK_THAT(with(piece("c", -INFINITY)), ContainsSubstring("score is not finite"));
  CHECK_THAT(with(field(1, field(1, "c") + field(2, uint64_t{1}))),
             ContainsSubstring("score is not a float"));
  CHECK_THAT(with(piece("c", 0, 7)), ContainsSubstring("piece 6: unknown type"));
  CHECK_THAT(with(piece("c", 0, 2)), ContainsSubstring("piece 6 is a second unknown"));
  for (const char* byte : {"<0x-1>", "<0x0>", "<0xZZ>", "<0x0A", "<0x0A>>"})
    CHECK_THAT(with(piece(byte, 0, 6)), ContainsSubstring("not written <0xHH>"));
  CHECK_THAT(with(field(1, uint64_t{5})), ContainsSubstring("field 1 has wire type 0, 2 expected"));
  CHECK_THAT(says(""), ContainsSubstring("it has 0 pieces, more than 4 expected"));
  CHECK_THAT(says(kSpecials), ContainsSubstring("it has 4 pieces"));
  CHECK_THAT(says(piece("a") + kSmall),
             ContainsSubstring("ids 0, 1, 2, 3 are not pad, unk, bos, eos: piece 0 has type 1"));
  CHECK_THAT(says(piece("<unk>", 0, 2) + piece("<s>", 0, 3) + piece("</s>", 0, 3) + piece("a")),
             ContainsSubstring("piece 0 has type 2"));
  CHECK_THAT(says(kSpecials + piece("a") + field(2, field(3, uint64_t{3}))),
             ContainsSubstring("model type 3"));
}

TEST_CASE("SentencePiece check: broken protobuf") {
  CHECK_THAT(says(kSmall + "\x0f"), ContainsSubstring("wire type 7"));
  CHECK_THAT(says(kSmall + "\x0b"), ContainsSubstring("wire type 3"));
  CHECK_THAT(says(kSmall + std::string("\0\0", 2)), ContainsSubstring("field number out of range"));
  CHECK_THAT(says(kSmall + std::string(11, '\xff')), ContainsSubstring("more than ten bytes"));
  CHECK_THAT(says(kSmall + "\x0a\xff\xff\xff\xff\x7f"),
             ContainsSubstring("is more than the 0 bytes that follow"));
  CHECK_THAT(says(kSmall + "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"),
             ContainsSubstring("is more than the 0 bytes"));
  CHECK_THAT(says(kSmall + "\x0d"
                           "ab"),
             ContainsSubstring("the data end early"));
  CHECK_THAT(says("the quick brown fox"), ContainsSubstring("m.model: not a SentencePiece model"));
}

TEST_CASE("SentencePiece: truncated and flipped models are refused or work") {
  TempDir dir;
  const std::string& model = unigram().model();
  int refused = 0, loaded = 0;
  auto attempt = [&](const std::string& bytes) {
    try {
      SentencePiece m = SentencePiece::load(dir.write("m", bytes));
      Ids ids = m.encode(
          "the old cat \xEF\xBC\xA1 \xC2\xBD sleeps .");  // with characters that are normalised
      m.decode(ids);
      ++loaded;
    } catch (const IoError&) {
      ++refused;
    }
  };
  for (size_t n = 0; n < model.size(); n += n < 300 ? 7 : model.size() / 60)
    attempt(model.substr(0, n));
  CHECK(refused > 0);
  for (size_t at = 0; at < model.size(); at += model.size() / 150)
    for (int bit : {0, 3, 7}) {
      std::string bytes = model;
      bytes[at] = static_cast<char>(bytes[at] ^ 1 << bit);
      attempt(bytes);
    }
  CHECK(refused + loaded > 400);
}

TEST_CASE("SentencePiece: files that cannot be read") {
  TempDir dir;
  auto load_says = [](const std::filesystem::path& path) {
    return message_of<IoError>([&] { SentencePiece::load(path); });
  };
  CHECK_THAT(load_says(dir / "none.model"), ContainsSubstring("none.model: cannot read"));
  CHECK_THAT(load_says(dir.path()), ContainsSubstring("cannot read"));
  CHECK_THAT(load_says(dir.write("empty.model", "")),
             ContainsSubstring("empty.model: not a SentencePiece model"));
}
