#include <heed/data/vocab.h>

#include <heed/core/error.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Texts = std::vector<std::string>;
using Ids = std::vector<int64_t>;

TEST_CASE("word vocabulary: ids by frequency, then bytes") {
  Texts lines = {"b a c", "c b  c\td", "<eos> Ä"};
  WordVocab vocab = WordVocab::build(lines);
  Texts order;
  for (int64_t i = 0; i < vocab.size(); ++i) order.push_back(vocab.piece(i));
  CHECK(order == Texts{"<pad>", "<unk>", "<bos>", "<eos>", "c", "b", "a", "d", "Ä"});
  CHECK(vocab.encode("a x c <eos>") == Ids{6, kUnk, 4, kUnk});
  CHECK(vocab.decode(Ids{kBos, 6, kUnk, 4, kEos, kPad}) == "a <unk> c");
  CHECK(vocab.encode(vocab.decode(Ids{8, 7, 6})) == Ids{8, 7, 6});
  CHECK_THROWS_AS(vocab.decode(Ids{9}), ValueError);
  CHECK_THROWS_AS(vocab.decode(Ids{-1}), ValueError);
  CHECK_THROWS_AS(vocab.piece(9), ValueError);
}

TEST_CASE("word vocabulary: rare words and a largest size") {
  Texts lines = {"a a a b b c", "d"};
  CHECK(WordVocab::build(lines, {.min_count = 2}).size() == 6);
  WordVocab small = WordVocab::build(lines, {.max_size = 5});
  CHECK(small.size() == 5);
  CHECK(small.encode("a b") == Ids{4, kUnk});
  CHECK_THROWS_AS(WordVocab::build(lines, {.min_count = 4}), ValueError);
  CHECK_THROWS_AS(WordVocab::build(lines, {.max_size = 4}), ValueError);
  CHECK_THROWS_AS(WordVocab::build(lines, {.min_count = 0}), ValueError);
  CHECK_THROWS_AS(WordVocab::build({}), ValueError);
}

TEST_CASE("word vocabulary: files that are not one") {
  TempDir dir;
  const std::string head = "<pad>\n<unk>\n<bos>\n<eos>\n";
  auto says = [&](const std::string& text) {
    auto path = dir.write("v.txt", text);
    return message_of<IoError>([&] { WordVocab::load(path); });
  };
  CHECK(says(head + "a\nb\n") == "");
  CHECK(WordVocab::load(dir / "v.txt").encode("b") == Ids{5});
  CHECK_THAT(says(""), ContainsSubstring("v.txt:1: '<pad>' expected, the file ends"));
  CHECK_THAT(says("<pad>\n<unk>\n<bos>\n"),
             ContainsSubstring("v.txt:4: '<eos>' expected, the file ends"));
  CHECK_THAT(says("the\n"), ContainsSubstring("v.txt:1: '<pad>' expected, got 'the'"));
  CHECK_THAT(says("<pad>\n<bos>\n<unk>\n<eos>\n"), ContainsSubstring("v.txt:2: '<unk>' expected"));
  CHECK_THAT(says(head + "a\nb\na\n"),
             ContainsSubstring("v.txt:7: 'a' for the second time, first on line 5"));
  CHECK_THAT(says(head + "<eos>\n"),
             ContainsSubstring("v.txt:5: '<eos>' for the second time, first on line 4"));
  CHECK_THAT(says(head + "a\n\nb\n"), ContainsSubstring("v.txt:6: empty line"));
  CHECK_THAT(says(head + "a b\n"), ContainsSubstring("v.txt:5: white space"));
  CHECK_THAT(says(head + "a\xC2\xA0\n"), ContainsSubstring("v.txt:5: white space"));
  CHECK_THAT(says(head + "a\n\xC3\x28\n"), ContainsSubstring("v.txt:6: invalid UTF-8"));
  CHECK_THAT(message_of<IoError>([&] { WordVocab::load(dir / "none"); }),
             ContainsSubstring("none: cannot open"));
}

TEST_CASE("tokenizer directory: saved and loaded by kind") {
  TempDir dir;
  Texts lines = {"der alte Hund", "die Katze"};
  WordVocab::build(lines).save(dir / "deep" / "word");
  auto word = load_tokenizer(dir / "deep" / "word");
  CHECK(std::string(word->kind()) == "word");
  CHECK(word->decode(word->encode("die Katze")) == "die Katze");
  CHECK(read_bytes(dir / "deep/word/vocab.txt") ==
        "<pad>\n<unk>\n<bos>\n<eos>\nHund\nKatze\nalte\nder\ndie\n");

  ByteTokenizer().save(dir / "byte");
  auto byte = load_tokenizer(dir / "byte");
  CHECK(byte->size() == 260);
  std::string all;
  for (int c = 0; c < 256; ++c) all.push_back(static_cast<char>(c));
  CHECK(byte->decode(byte->encode(all)) == all);
  CHECK(byte->encode("A") == Ids{'A' + 4});
  CHECK(byte->piece(3) == "<eos>");
  CHECK(byte->piece('A' + 4) == "A");
  CHECK(byte->piece(4 + 10) == "<0A>");
  CHECK_THROWS_AS(byte->decode(Ids{260}), ValueError);
}

TEST_CASE("tokenizer directory: a description that is not one") {
  TempDir dir;
  dir.write("vocab.txt", "<pad>\n<unk>\n<bos>\n<eos>\na\n");
  auto says = [&](const std::string& text) {
    dir.write("tokenizer.json", text);
    return message_of<IoError>([&] { load_tokenizer(dir.path()); });
  };
  CHECK_THAT(message_of<IoError>([&] { load_tokenizer(dir.path()); }),
             ContainsSubstring("tokenizer.json: cannot open"));
  CHECK(says(R"({"kind": "word", "file": "vocab.txt"})") == "");
  CHECK_THAT(says(""), ContainsSubstring("not a JSON object"));
  CHECK_THAT(says("[1]"), ContainsSubstring("not a JSON object"));
  CHECK_THAT(says("{\"kind\": \"word\""), ContainsSubstring("not a JSON object"));
  CHECK_THAT(says("{}"), ContainsSubstring("'kind' missing"));
  CHECK_THAT(says(R"({"kind": 3, "file": "vocab.txt"})"),
             ContainsSubstring("'kind' missing or not a string"));
  CHECK_THAT(says(R"({"kind": "wrod", "file": "vocab.txt"})"),
             ContainsSubstring("unknown kind 'wrod'"));
  CHECK_THAT(says(R"({"kind": "word"})"), ContainsSubstring("'file' missing"));
  CHECK_THAT(says(R"({"kind": "word", "file": "gone.txt"})"),
             ContainsSubstring("gone.txt: cannot open"));
  for (const char* path :
       {"../vocab.txt", "/etc/passwd", "a/b", "..", ".", "", "a\\\\b", "a\\u0000b"})
    CHECK_THAT(says(std::string(R"({"kind": "word", "file": ")") + path + "\"}"),
               ContainsSubstring("a plain file name expected"));
  CHECK_THAT(says(std::string(70000, ' ')), ContainsSubstring("a few lines expected"));
  CHECK_THAT(says(std::string(60000, '[')), ContainsSubstring("not a JSON object"));
}
