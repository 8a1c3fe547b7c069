// Files that are no pictures, or broken ones.
#include <sys/stat.h>

#include <heed/core/error.h>
#include <heed/data/picture_file.h>
#include <heed/tests/data/gzip.h>
#include <heed/tests/data/picture_bytes.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using namespace std::string_literals;

namespace {
const std::string kEnd = png_chunk("IEND", "");
const std::string kRow = std::string(1 + 2, '\0');  // of a picture of 2 x 2, 8 bits, grey

std::string decoding(std::string_view bytes) {
  return message_of<IoError>([&] { decode_picture("x.png", bytes, 3); });
}
// A part of a file replaced.
std::string with(std::string bytes, size_t at, std::string_view content) {
  return bytes.replace(at, content.size(), content);
}
// What a start-of-frame segment of a JPEG says, from the precision on.
std::string jpeg_frame(std::string_view content) {
  std::string jpeg = golden_picture("baseline_444.jpg");
  return with(jpeg, jpeg.find("\xff\xc0\0\x11"s) + 4, content);
}
}  // namespace

TEST_CASE("pictures: files that cannot be read") {
  TempDir dir;
  auto says = [](const std::string& path) {
    return message_of<IoError>([&] { read_picture(path, 3); });
  };
  CHECK_THAT(says(dir / "missing.png"), ContainsSubstring("missing.png: cannot open: No such"));
  CHECK_THAT(says(dir.path()), ContainsSubstring("is a directory"));
  std::filesystem::create_directory(dir / "folder.png");
  CHECK_THAT(says(dir / "folder.png"), ContainsSubstring("folder.png: is a directory"));
  REQUIRE(mkfifo((dir / "pipe.png").c_str(), 0600) == 0);
  CHECK_THAT(says(dir / "pipe.png"), ContainsSubstring("pipe.png: not a regular file"));
  CHECK_THAT(says(dir.write("a.png", "") / "b.png"), ContainsSubstring("Not a directory"));
  // Refused when read, also to root: the first page of a process's memory.
  std::filesystem::create_symlink("/proc/self/mem", dir / "refused.png");
  CHECK_THAT(says(dir / "refused.png"), ContainsSubstring("refused.png: cannot read at offset 0"));
  CHECK_THAT(says(dir.write("zero.png", "")), ContainsSubstring("zero.png: the file is empty"));
  CHECK_THAT(says(dir.write("cut.gz", "\x1f\x8b\x08\0"s)), ContainsSubstring("truncated"));
  CHECK_THAT(says(dir.write("a.gz", golden_picture("rgb_8.png"))), ContainsSubstring("1f 8b"));
  CHECK(says(dir.write("b.gz", gzip(golden_picture("rgb_8.png")))) == "");
  CHECK_THAT(says(dir.write("c.gz", gzip("text, packed"))),
             ContainsSubstring("got text that begins with"));
  CHECK_THROWS_AS(read_picture(dir / "a.png", 2), ValueError);
  CHECK_THROWS_AS(decode_picture("a", golden_picture("rgb_8.png"), 4), ValueError);
}

TEST_CASE("pictures: what is no PNG or JPEG is called what it is") {
  auto [content, name] = GENERATE(table<std::string, std::string>({
      {"hello, world\n", "text that begins with \"hello, w\""},
      {"abc", "text that begins with \"abc\""},
      {"\0\x01\x02"s, "the bytes 00 01 02"},
      {"GIF89a\x01", "GIF"},
      {"BM\x46\0\0\0"s, "BMP"},
      {"RIFF\x10\0\0\0WEBPVP8 "s, "WebP"},
      {"II*\0\x08\0\0\0"s, "TIFF"},
      {"\0\0\0\x1c"
       "ftypavif"s,
       "AVIF"},
      {"\0\0\0\x18"
       "ftypheic"s,
       "HEIF"},
      {"\0\0\0\x0cjP  \r\n"s, "JPEG 2000"},
      {"\xff\x0a\x01\x02", "JPEG XL"},
      {"%PDF-1.7", "PDF"},
      {"<!DOCTYPE html>", "HTML"},
      {"PK\x03\x04zip", "a zip archive"},
      {"\x89PNG\n\x1a\n__", "the bytes 89 50 4e 47 0a"},  // as a transfer of text leaves it
  }));
  CHECK_THAT(decoding(content), ContainsSubstring("x.png: PNG or JPEG expected, got " + name));
}

TEST_CASE("pictures: sizes are looked at first") {
  auto huge = [](uint64_t width, uint64_t height) {
    return decoding(png_header(width, height, 8, 2));
  };
  CHECK_THAT(huge(100000, 100000),
             ContainsSubstring("x.png: a picture of 100000 x 100000 pixels; at most 268435456"));
  CHECK_THAT(huge(0x7fffffff, 1), ContainsSubstring("at most 268435456"));
  CHECK_THAT(huge(0xffffffff, 0xffffffff), ContainsSubstring("at most 268435456"));
  CHECK_THAT(huge(16385, 16384), ContainsSubstring("16384 x 16385 pixels; at most"));
  CHECK_THAT(huge(0, 5), ContainsSubstring("a picture of 5 x 0 pixels is empty"));
  CHECK_THAT(huge(5, 0), ContainsSubstring("a picture of 0 x 5 pixels is empty"));
  // Small enough, but no file of this length holds so many.
  CHECK_THAT(decoding(png_header(16384, 16384, 8, 2) + png_chunk("IDAT", deflated(kRow)) + kEnd),
             ContainsSubstring("16384 x 16384 pixels cannot fit in 68 bytes"));
  CHECK_THAT(decoding(jpeg_frame("\x08\xff\xdc\xff\xdc")),
             ContainsSubstring("a picture of 65500 x 65500 pixels; at most 268435456"));
  CHECK_THAT(decoding(jpeg_frame("\x08\xff\xff\xff\xff")), ContainsSubstring("65500"));
  CHECK_THAT(decoding(jpeg_frame("\x08\0\x13\0\0"s)), ContainsSubstring("Empty JPEG"));
  CHECK_THAT(decoding(jpeg_frame("\x08\0\0\0\x15"s)), ContainsSubstring("Empty JPEG"));
}

TEST_CASE("pictures: broken PNG") {
  std::string head = png_header(2, 2, 8, 0), pixels = png_chunk("IDAT", deflated(kRow + kRow));
  REQUIRE(decoding(head + pixels + kEnd) == "");
  std::string rgb = golden_picture("rgb_8.png"), extra = golden_picture("extra_chunks.png");
  std::string wrong_sum = deflated(kRow + kRow);
  wrong_sum.back() ^= 1;
  auto [content, says] = GENERATE_COPY(table<std::string, std::string>({
      {head.substr(0, 8), "truncated"},
      {head.substr(0, 20), "truncated"},
      {head, "truncated"},
      {head + pixels, "truncated"},
      {head + kEnd, "IEND: out of place"},
      {head + png_chunk("IDAT", deflated(kRow)) + kEnd, "Not enough image data"},
      {head + png_chunk("IDAT", deflated(kRow + kRow + kRow)) + kEnd, "Too much image data"},
      {head + png_chunk("IDAT", "no deflate stream") + kEnd, "incorrect header check"},
      {head + png_chunk("IDAT", wrong_sum) + kEnd, "incorrect data check"},
      {head + png_chunk("IDAT", deflated("\7ab\0ab"s)) + kEnd, "bad adaptive filter"},
      {head + head.substr(8) + pixels + kEnd, "IHDR: out of place"},
      {head + png_chunk("NEEd", "") + pixels + kEnd, "NEEd: unhandled critical chunk"},
      {head.substr(0, 8) + pixels + kEnd, "it does not begin with an IHDR chunk"},
      {png_header(2, 2, 3, 0) + pixels + kEnd, "Invalid IHDR data"},   // 3 bits
      {png_header(2, 2, 8, 5) + pixels + kEnd, "Invalid IHDR data"},   // colour type 5
      {png_header(2, 2, 16, 3) + pixels + kEnd, "Invalid IHDR data"},  // a palette of 16 bits
      {png_header(2, 2, 8, 3) + pixels + kEnd, "Missing PLTE"},
      {with(rgb, rgb.find("IEND") + 4, "?"), "IEND: CRC error"},
      {with(extra, extra.find("heed"), "HEED"), "tEXt: CRC error"},
      {with(rgb, rgb.find("IDAT") - 4, "\xff"), "out of range"},
  }));
  std::string message = decoding(content);
  CHECK_THAT(message, StartsWith("x.png: cannot read this PNG: "));
  CHECK_THAT(message, ContainsSubstring(says));
}

TEST_CASE("pictures: a palette index that has no colour is an error") {
  std::string colours = png_chunk("PLTE", "abcABC");
  auto indices = [&](const std::string& raw) {
    return decoding(png_header(2, 1, 8, 3) + colours + png_chunk("IDAT", deflated(raw)) + kEnd);
  };
  CHECK(indices("\0\0\1"s) == "");
  CHECK_THAT(indices("\0\0\2"s), ContainsSubstring("palette index"));
  CHECK_THAT(indices("\0\xff\0"s), ContainsSubstring("palette index"));
}

TEST_CASE("pictures: broken JPEG") {
  std::string whole = golden_picture("baseline_444.jpg"), cmyk = golden_picture("cmyk.jpg");
  auto [content, says] = GENERATE_COPY(table<std::string, std::string>({
      {"\xff\xd8", "only the first 2 bytes of a picture: the file is truncated"},
      {"\xff\xd8\xff", "Premature end of JPEG file"},
      {"\xff\xd8\xff\xd9", "no image"},
      {whole.substr(0, whole.size() / 2), "Premature end of JPEG file"},
      {whole.substr(0, whole.size() - 2), "Premature end of JPEG file"},
      {whole.substr(0, whole.size() - 40) + "\xff\xd9", "premature end of data segment"},
      {whole.substr(0, whole.size() - 2) + "bytes too many\xff\xd9", "extraneous bytes"},
      {jpeg_frame("\x0c"), "Unsupported JPEG data precision 12"},
      {with(cmyk, cmyk.find("\xff\xc0\0\x14"s) + 3, "\x0e\x08\0\x13\0\x15\x02"s), ""},
      {with(whole, whole.find("\xff\xda"), "\xff\xc0"), ""},  // a second frame, no scan
      {with(whole, 2, "\xff\x01\xff\x01"), ""},
  }));
  std::string message = decoding(content);
  CAPTURE(content.size());
  CHECK_THAT(message, StartsWith("x.png: "));
  CHECK_THAT(message, ContainsSubstring(says));
}

TEST_CASE("JPEG: 500 scans are read, one more is refused") {
  const std::string picture = golden_picture("progressive.jpg"), start_of_scan = "\xff\xda";
  int scans = 0;
  for (size_t at = 0; (at = picture.find(start_of_scan, at)) != std::string::npos; ++at) ++scans;
  // The first scan holds the DC coefficients without their last bit. Said to hold all bits, it may
  // follow the others as often as one likes.
  size_t begin = picture.find(start_of_scan), end = begin + 2;
  while (picture[end] != '\xff' || picture[end + 1] == '\0') ++end;
  std::string again = picture.substr(begin, end - begin);
  again[static_cast<size_t>(1 + again[3])] =
      0;  // the end of its header: no bit before, none missing
  auto with_scans = [&](int count) {
    std::string more = picture.substr(0, picture.size() - 2);
    for (int i = scans; i < count; ++i) more += again;
    return decoding(more + "\xff\xd9");
  };
  REQUIRE(scans > 1);
  CHECK(with_scans(500) == "");
  CHECK(with_scans(501) == "x.png: cannot read this JPEG: more than 500 scans");
}
