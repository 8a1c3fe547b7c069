#include <heed/data/lines.h>

#include <unistd.h>

#include <heed/core/error.h>
#include <heed/data/utf8.h>
#include <heed/tests/data/gzip.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Texts = std::vector<std::string>;

TEST_CASE("UTF-8: what is valid, and where it stops being valid") {
  const auto npos = std::string_view::npos;
  for (const char* good :
       {"", "plain", "Mädchen", "\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xED\x9F\xBF",
        "\xEE\x80\x80", "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF"})
    CHECK(utf8_error(good) == npos);
  // Stray continuation, overlong (2, 3, 4 bytes), surrogates, beyond U+10FFFF, never used, cut
  // short.
  for (const char* bad :
       {"\x80", "\xBF", "\xC0\x80", "\xC1\xBF", "\xE0\x9F\xBF", "\xF0\x8F\xBF\xBF", "\xED\xA0\x80",
        "\xED\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFE", "\xFF", "\xC3", "\xE2\x82",
        "\xF0\x9F\x98", "\xC3(", "\xE2\x28\xA1"}) {
    CAPTURE(bad);
    CHECK(utf8_error(bad) == 0);
    CHECK(utf8_error(std::string("aé") + bad) == 3);
  }
}

TEST_CASE("UTF-8: a character that is not finished at the end") {
  for (const char* begun : {"\xC3", "\xDF", "\xE2", "\xE2\x82", "\xE0\xA0", "\xED\x9F", "\xF0",
                            "\xF0\x90", "\xF0\x9F\x98", "\xF4\x8F"}) {
    CAPTURE(begun);
    CHECK(utf8_unfinished(begun) == std::string(begun).size());
    CHECK(utf8_unfinished(std::string("aé") + begun) == std::string(begun).size());
  }
  for (const char* whole : {"", "a", "é", "\x80", "\xC1", "\xE0\x9F", "\xED\xA0", "\xF4\x90",
                            "\xF5", "\xE2\x28", "\xF0\x9F\x98\x80"}) {
    CAPTURE(whole);
    CHECK(utf8_unfinished(whole) == 0);
  }
  CHECK(utf8_mended("a\xE2\x82z\xFFé") == "a\xEF\xBF\xBD\xEF\xBF\xBDz\xEF\xBF\xBDé");
}

TEST_CASE("lines: from a pipe as they come") {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  auto send = [&](std::string text) {
    REQUIRE(write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  };
  send("one\nt");
  LineReader reader("/dev/fd/" + std::to_string(ends[0]));
  std::string line;
  REQUIRE((reader.ready() && reader.next(line)));
  CHECK(line == "one");
  CHECK_FALSE(reader.ready());  // a line that has only begun
  send("wo\nthree\n");
  REQUIRE((reader.ready() && reader.next(line)));
  CHECK(line == "two");
  REQUIRE((reader.ready() && reader.next(line)));
  CHECK(line == "three");
  CHECK_FALSE(reader.ready());
  send("four");
  CHECK_FALSE(reader.ready());
  close(ends[1]);
  REQUIRE((reader.ready() && reader.next(line)));
  CHECK(line == "four");
  CHECK((reader.ready() && !reader.next(line)));
  close(ends[0]);
}

TEST_CASE("UTF-8: code points there and back") {
  std::string text;
  std::vector<char32_t> points = {0x24,   0x7F,    0x80,    0x7FF,   0x800,
                                  0xFFFF, 0x10000, 0x1F600, 0x10FFFF};
  for (char32_t c : points) append_utf8(text, c);
  CHECK(utf8_error(text) == std::string_view::npos);
  CHECK(utf8_count(text) == 9);
  std::vector<char32_t> read;
  for (size_t i = 0; i < text.size();) read.push_back(utf8_next(text, i));
  CHECK(read == points);
  CHECK_THROWS_AS(append_utf8(text, 0xD800), ValueError);
  CHECK_THROWS_AS(append_utf8(text, 0x110000), ValueError);
  size_t i = 0;
  CHECK(utf8_next("\xE2\x82", i) == 0xFFFD);
  CHECK(i == 1);
}

TEST_CASE("words between any Unicode white space") {
  auto words = split_words(
      " a\t\xC2\xA0"
      "b\xE3\x80\x80"
      "c d\n");
  CHECK(words == std::vector<std::string_view>{"a", "b", "c", "d"});
  CHECK(split_words("").empty());
  CHECK(is_blank(" \xE2\x80\xA8\t"));
  CHECK_FALSE(is_blank(" . "));
  for (const char* unseen : {"\xE2\x80\x8B", "a\xEF\xBB\xBF" + 1, "\x07\x7F", "\xC2\x85 \xC2\xAD",
                             "\xE2\x80\xAE\xE2\x81\xA9", "\xF3\xA0\x81\xBF"}) {
    CAPTURE(unseen);
    CHECK(is_blank(unseen));
    CHECK_FALSE(is_blank(std::string(unseen) + "a" + unseen));
  }
}

TEST_CASE("lines: ends, byte order mark, last line") {
  TempDir dir;
  CHECK(read_lines(dir.write("a", "one\ntwo\r\nthree")) == Texts{"one", "two", "three"});
  CHECK(read_lines(dir.write("b", "one\n\nthree\n")) == Texts{"one", "", "three"});
  CHECK(read_lines(dir.write("c", "\xEF\xBB\xBFone\n\xEF\xBB\xBFtwo\n")) ==
        Texts{"one", "\xEF\xBB\xBFtwo"});
  CHECK(read_lines(dir.write("d", "")).empty());
  CHECK(read_lines(dir.write("e",
                             "a\rb\xE2\x80\xA8"
                             "c\xC2\x85"
                             "d\n")) == Texts{"a\rb\xE2\x80\xA8"
                                              "c\xC2\x85"
                                              "d"});
  CHECK(read_text(dir.write("f", "x\r\ny")) == "x\ny\n");
}

TEST_CASE("lines: longer than the read buffer, and counted") {
  TempDir dir;
  Texts lines;
  std::string text;
  for (int i = 0; i < 400; ++i) {
    lines.push_back(
        std::string(static_cast<size_t>(i * 7 % 1000), static_cast<char>('a' + i % 26)));
    if (i % 100 == 50) lines.back() = std::string(150000, 'x');
    text += lines.back() + "\n";
  }
  CHECK(read_lines(dir.write("plain", text)) == lines);
  CHECK(read_lines(dir.write("packed.gz", gzip(text))) == lines);
  LineReader reader(dir / "plain");
  std::string line;
  while (reader.next(line)) {
  }
  CHECK(reader.line_number() == 400);
}

TEST_CASE("lines: a file that cannot be read as text says where") {
  TempDir dir;
  auto says = [](auto path) { return message_of<IoError>([&] { read_lines(path); }); };
  CHECK_THAT(says(dir / "missing.txt"), ContainsSubstring("missing.txt: cannot open"));
  CHECK_THAT(says(dir.path()), ContainsSubstring("is a directory"));
  CHECK_THAT(says(dir.write("bad.txt", "good\nb\xC3(\n")),
             ContainsSubstring("bad.txt:2: invalid UTF-8 at byte 2"));
  CHECK_THAT(says(dir.write("bad.gz", gzip("good\ngood\n\xFF"))),
             ContainsSubstring("bad.gz:3: invalid UTF-8 at byte 1"));
  CHECK_THAT(says(dir.write("long.txt", std::string(kMaxLineBytes + 1, 'x'))),
             ContainsSubstring("long.txt:1: line longer than"));
  CHECK_THAT(says(dir.write("bomb.gz", gzip(std::string(3 * kMaxLineBytes, 'x')))),
             ContainsSubstring("bomb.gz:1: line longer than"));
}

TEST_CASE("gzip: several members, and the name does not matter") {
  TempDir dir;
  CHECK(read_lines(dir.write("two.gz", gzip("one\ntw") + gzip("o\n"))) == Texts{"one", "two"});
  CHECK(read_lines(dir.write("named_plainly", gzip("one\n"))) == Texts{"one"});
  CHECK(read_lines(dir.write("nothing.gz", gzip(""))).empty());
}

TEST_CASE("gzip: truncated anywhere, corrupt or followed by something is an error") {
  TempDir dir;
  std::string text;
  for (int i = 0; i < 200; ++i) text += "line number " + std::to_string(i * i) + "\n";
  std::string packed = gzip(text);
  auto says = [&](std::string_view content) {
    auto path = dir.write("x.gz", content);
    return message_of<IoError>([&] { read_lines(path); });
  };
  REQUIRE(says(packed) == "");
  for (size_t n = 0; n < packed.size(); ++n) {
    CAPTURE(n);
    std::string message = says(packed.substr(0, n));
    REQUIRE_THAT(message, ContainsSubstring("x.gz: "));
    if (n >= 2)
      REQUIRE_THAT(message,
                   ContainsSubstring("at offset " + std::to_string(n) + ": the file is truncated"));
    else REQUIRE_THAT(message, ContainsSubstring("1f 8b"));
  }
  std::string second = packed + packed.substr(0, packed.size() / 2);
  CHECK_THAT(says(second), ContainsSubstring("at offset " + std::to_string(second.size())));
  CHECK_THAT(says(packed + "rest"), ContainsSubstring("followed by other bytes, at offset " +
                                                      std::to_string(packed.size())));

  // Every single bit flipped: found by inflate, by the checksum or by the header, but where it does
  // not matter.
  int accepted = 0;
  for (size_t bit = 0; bit < packed.size() * 8; ++bit) {
    std::string flipped = packed;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << bit % 8));
    if (says(flipped).empty()) {
      ++accepted;
      // Flags, time and system of the header, and the bits that fill the last byte of the data.
      REQUIRE(((bit / 8 >= 3 && bit / 8 < 10) || bit / 8 == packed.size() - 9));
      REQUIRE(read_text(dir / "x.gz") == text);
    }
  }
  CHECK(accepted <= 8 * 8);
}
