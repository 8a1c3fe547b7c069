#include <heed/data/corpus.h>

#include <heed/core/error.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Texts = std::vector<std::string>;

TEST_CASE("parallel files: line i belongs to line i") {
  TempDir dir;
  auto corpus = read_parallel(dir.write("a.en", "one\ntwo words\n"),
                              dir.write("a.de", "eins\r\nzwei Wörter"));
  CHECK(corpus.source == Texts{"one", "two words"});
  CHECK(corpus.target == Texts{"eins", "zwei Wörter"});
  CHECK(corpus.size() == 2);
  CHECK(corpus.skipped == 0);
}

TEST_CASE("parallel files: unequal counts name both files and both counts") {
  TempDir dir;
  auto a = dir.write("a.en", "1\n2\n3\n4\n"), b = dir.write("b.de", "1\n2\n");
  auto both = [](const std::string& message, const char* x, const char* y) {
    CHECK_THAT(message, ContainsSubstring(x));
    CHECK_THAT(message, ContainsSubstring(y));
  };
  both(message_of<IoError>([&] { read_parallel(a, b); }), "a.en has 4 lines", "b.de has 2");
  both(message_of<IoError>([&] { read_parallel(b, a); }), "b.de has 2 lines", "a.en has 4");
  both(message_of<IoError>([&] { read_parallel(a, dir.write("c.de", "")); }), "a.en has 4 lines",
       "c.de has 0");
}

TEST_CASE("parallel files: empty lines and empty files") {
  TempDir dir;
  auto a = dir.write("a.en", "one\n \t\nthree\nfour\n"),
       b = dir.write("b.de", "eins\nzwei\n\nvier\n");
  CHECK_THAT(message_of<IoError>([&] { read_parallel(a, b); }),
             ContainsSubstring("a.en:2: empty line"));
  auto full = dir.write("full.en", "1\n2\n3\n4\n");
  CHECK_THAT(message_of<IoError>([&] { read_parallel(full, b); }),
             ContainsSubstring("b.de:3: empty line"));
  auto corpus = read_parallel(a, b, {.skip_empty = true});
  CHECK(corpus.source == Texts{"one", "four"});
  CHECK(corpus.target == Texts{"eins", "vier"});
  CHECK(corpus.skipped == 2);
  CHECK(corpus.line == std::vector<int64_t>{1, 4});
  auto unseen = dir.write("unseen.de", "eins\n\xE2\x80\x8B\xC2\xAD\ndrei\nvier\n");
  CHECK_THAT(message_of<IoError>([&] { read_parallel(full, unseen); }),
             ContainsSubstring("unseen.de:2: empty line"));
  CHECK(read_parallel(full, unseen, {.skip_empty = true}).line == std::vector<int64_t>{1, 3, 4});
  auto empty = dir.write("empty", ""), blank = dir.write("blank", "\n\n");
  CHECK_THAT(message_of<IoError>([&] { read_parallel(empty, empty); }),
             ContainsSubstring("empty: no sentence pair"));
  CHECK_THAT(message_of<IoError>([&] { read_parallel(blank, blank, {.skip_empty = true}); }),
             ContainsSubstring("2 empty ones skipped"));
  CHECK_THAT(message_of<IoError>([&] { read_parallel(dir / "none", full); }),
             ContainsSubstring("none: cannot open"));
}

TEST_CASE("TSV: exactly one tab, two sides") {
  TempDir dir;
  auto corpus = read_tsv(dir.write("a.tsv", "one\teins\ntwo\tzwei\n"));
  CHECK(corpus.source == Texts{"one", "two"});
  CHECK(corpus.target == Texts{"eins", "zwei"});
  auto says = [&](const char* text) {
    auto path = dir.write("b.tsv", text);
    return message_of<IoError>([&] { read_tsv(path); });
  };
  CHECK_THAT(says("one\teins\ntwo zwei\n"),
             ContainsSubstring("b.tsv:2: 0 tabs, exactly one expected"));
  CHECK_THAT(says("one\teins\tx\n"), ContainsSubstring("b.tsv:1: 2 tabs"));
  CHECK_THAT(says("one\t\n"), ContainsSubstring("b.tsv:1: empty target"));
  CHECK_THAT(says(" \teins\n"), ContainsSubstring("b.tsv:1: empty source"));
  CHECK_THAT(says(""), ContainsSubstring("b.tsv: no sentence pair"));
  CHECK_THAT(says("a\tb\n\nc\td\n"), ContainsSubstring("b.tsv:2: 0 tabs"));
  auto skipped = read_tsv(dir.write("c.tsv", "a\tb\n\nc\t\nd\te\n"), {.skip_empty = true});
  CHECK(skipped.source == Texts{"a", "d"});
  CHECK(skipped.skipped == 2);
}
