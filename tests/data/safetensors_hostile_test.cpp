// Files that are not what they claim: each refused by an IoError that says where and what was
// expected.
#include <sys/stat.h>

#include <cstring>
#include <filesystem>

#include <heed/core/error.h>
#include <heed/core/memory.h>
#include <heed/data/safetensors.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
std::string file_of(const std::string& header, const std::string& data) {
  uint64_t n = header.size();
  std::string out(8, '\0');
  std::memcpy(out.data(), &n, 8);
  return out + header + data;
}

struct Reader {
  TempDir dir;
  std::string says(const std::string& bytes, SafeTensorsOptions options = {}) {
    auto path = dir.write("x.st", bytes);
    return message_of<IoError>([&] { read_safetensors(path, options); });
  }
  std::string header(const std::string& json, size_t data = 4) {
    return says(file_of(json, std::string(data, '\1')));
  }
  // A tensor 'a' with these fields.
  std::string tensor(const std::string& dtype, const std::string& shape, const std::string& offsets,
                     size_t data = 4) {
    return header(R"({"a":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" +
                      offsets + "}}",
                  data);
  }
};
const std::string kGood = R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})";
}  // namespace

TEST_CASE("hostile safetensors: the plain file is accepted, and so are its legal variants") {
  Reader r;
  CHECK(r.header(kGood) == "");
  CHECK(r.header("   " + kGood + "     ") == "");
  CHECK(r.header(R"({ "a" : {"data_offsets":[0,4], "shape": [ 1 ],"dtype":"F32"} })") == "");
  CHECK(r.header(R"({"":{"dtype":"F32","shape":[],"data_offsets":[0,4]}})") == "");
  CHECK(r.header(R"({"a":{"dtype":"U8","shape":[0,9223372036854775807],"data_offsets":[0,0]}})",
                 0) == "");
  CHECK(r.header(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})") == "");
  CHECK(r.header(R"({"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]},)"
                 R"("z":{"dtype":"U8","shape":[0],"data_offsets":[2,2]},)"
                 R"("a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}})") == "");
  CHECK(r.header("{}", 0) == "");
  CHECK(r.header(R"({"__metadata__":{}})", 0) == "");
  CHECK(r.header(R"({"a":{"dtype":"\u00463\u0032","shape":[1],"data_offsets":[0,4]}})") == "");
  CHECK(r.says(file_of(kGood, std::string(9, 'x')), {.allow_trailing = true}) == "");
}

TEST_CASE("hostile safetensors: cut off at every byte") {
  Reader r;
  std::string whole = read_bytes(HEED_SOURCE_DIR "/tests/golden/safetensors_golden.safetensors");
  REQUIRE(r.says(whole) == "");
  REQUIRE(whole.size() > 200);
  for (size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    REQUIRE_THAT(r.says(whole.substr(0, n)), ContainsSubstring("x.st: "));
  }
  REQUIRE_THAT(r.says(whole.substr(0, 7)), ContainsSubstring("7 bytes, at least 8 expected"));
  REQUIRE_THAT(r.says(whole + "x"),
               ContainsSubstring("1 bytes behind the last tensor, none expected"));
}

TEST_CASE("hostile safetensors: any byte of the header changed is refused or harmless") {
  Reader r;
  std::string whole = read_bytes(HEED_SOURCE_DIR "/tests/golden/safetensors_golden.safetensors");
  uint64_t n;
  std::memcpy(&n, whole.data(), 8);
  for (size_t at = 0; at < 8 + n; ++at)
    for (int change : {1, 0x20, 0x80}) {
      std::string bytes = whole;
      bytes[at] = static_cast<char>(bytes[at] ^ change);
      auto path = r.dir.write("x.st", bytes);
      try {
        read_safetensors(path);
      } catch (const IoError&) {
      }  // anything else fails the test
    }
}

TEST_CASE("hostile safetensors: header lengths") {
  Reader r;
  for (uint64_t n : {uint64_t{55}, uint64_t{1} << 20, uint64_t{100'000'000}, uint64_t{100'000'001},
                     uint64_t{0x7fffffff}, uint64_t{1} << 31, uint64_t{1} << 32, ~uint64_t{0} >> 1,
                     uint64_t{1} << 63, ~uint64_t{0} - 7, ~uint64_t{0}}) {
    std::string bytes = file_of(kGood, "");
    std::memcpy(bytes.data(), &n, 8);
    CAPTURE(n);
    CHECK_THAT(r.says(bytes),
               ContainsSubstring("x.st: offset 0: header length " + std::to_string(n)));
  }
  CHECK_THAT(r.says(file_of("", "")), ContainsSubstring("does not begin with '{'"));
  CHECK_THAT(r.says(file_of("   ", "")), ContainsSubstring("does not begin with '{'"));
}

TEST_CASE("hostile safetensors: a header that is not such JSON") {
  Reader r;
  CHECK_THAT(r.header("[]"), ContainsSubstring("offset 8: the header does not begin with '{'"));
  CHECK_THAT(r.header("\n" + kGood), ContainsSubstring("does not begin with '{'"));
  CHECK_THAT(r.header("\xEF\xBB\xBF" + kGood), ContainsSubstring("does not begin with '{'"));
  CHECK_THAT(r.header(kGood + "\n"), ContainsSubstring("does not end with '}'"));
  CHECK_THAT(r.header(kGood + std::string(1, '\0')), ContainsSubstring("does not end with '}'"));
  CHECK_THAT(r.header(kGood + kGood), ContainsSubstring("not JSON"));
  CHECK_THAT(r.header("{'a':1}"), ContainsSubstring("offset 9: the header is not JSON"));
  CHECK_THAT(r.header(R"({"a":{"dtype":"F32","shape":[1,],"data_offsets":[0,4]}})"),
             ContainsSubstring("not JSON"));
  CHECK_THAT(r.header(R"({"a":{"dtype":"F32","shape":[1]"data_offsets":[0,4]}})"),
             ContainsSubstring("not JSON"));
  CHECK_THAT(r.header("{\"a\xC3\":{}}"),
             ContainsSubstring("offset 11: invalid UTF-8 in the header"));
  CHECK_THAT(r.header(R"({"\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
             ContainsSubstring("not JSON"));
  CHECK_THAT(r.header("{\"a\n\":{}}"), ContainsSubstring("not JSON"));
  CHECK_THAT(r.header(R"({"a":/*x*/{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
             ContainsSubstring("not JSON"));
}

TEST_CASE("hostile safetensors: deep nesting costs nothing") {
  Reader r;
  std::string arrays(1'000'000, '['), objects;
  for (int i = 0; i < 200'000; ++i) objects += "{\"a\":";
  CHECK_THAT(r.header("{\"a\":" + arrays + "}"),
             ContainsSubstring("'a': an object expected, got an array"));
  CHECK_THAT(r.header(objects + "1}"), ContainsSubstring("unknown field"));
  CHECK_THAT(
      r.header(R"({"a":{"shape":)" + arrays + "}}"),
      ContainsSubstring("field 'shape': a number that is not negative expected, got an array"));
  CHECK_THAT(r.header(R"({"__metadata__":)" + objects + "1}"),
             ContainsSubstring("'__metadata__', field 'a': a string expected, got an object"));
}

TEST_CASE("hostile safetensors: the wrong type in each place") {
  Reader r;
  struct Wrong {
    const char *json, *got;
  };
  const Wrong wrongs[] = {{"null", "null"},
                          {"true", "a boolean"},
                          {"-1", "a negative number"},
                          {"1.0", "the number 1.0"},
                          {"1e3", "the number 1e3"},
                          {"18446744073709551616", "the number 18446744073709551616"},
                          {"{}", "an object"}};
  for (const Wrong& w : wrongs) {
    CAPTURE(w.json);
    std::string got = std::string(" expected, got ") + w.got;
    if (std::string(w.json) != "{}")
      CHECK_THAT(r.header(std::string("{\"a\":") + w.json + "}"),
                 ContainsSubstring("'a': an object" + got));
    CHECK_THAT(r.tensor(w.json, "[1]", "[0,4]"),
               ContainsSubstring("field 'dtype': a string" + got));
    CHECK_THAT(r.tensor("\"F32\"", w.json, "[0,4]"),
               ContainsSubstring("field 'shape': an array" + got));
    CHECK_THAT(r.tensor("\"F32\"", "[1]", w.json),
               ContainsSubstring("field 'data_offsets': an array" + got));
    std::string in = std::string("[") + w.json + "]";
    CHECK_THAT(r.tensor("\"F32\"", in, "[0,4]"),
               ContainsSubstring("field 'shape': a number that is not negative" + got));
    CHECK_THAT(r.tensor("\"F32\"", "[1]", in),
               ContainsSubstring("field 'data_offsets': a number that is not negative" + got));
    CHECK_THAT(r.header(std::string(R"({"__metadata__":{"k":)") + w.json + "}}"),
               ContainsSubstring("'__metadata__', field 'k': a string" + got));
  }
  CHECK_THAT(r.header(R"({"a":"F32"})"),
             ContainsSubstring("'a': an object expected, got a string"));
  CHECK_THAT(r.header(R"({"a":7})"),
             ContainsSubstring("'a': an object expected, got the number 7"));
  CHECK_THAT(r.header(R"({"__metadata__":[]})"),
             ContainsSubstring("'__metadata__': an object expected, got an array"));
  CHECK_THAT(r.header(R"({"__metadata__":{"k":1}})"),
             ContainsSubstring("a string expected, got the number 1"));
  CHECK_THAT(r.tensor("[\"F32\"]", "[1]", "[0,4]"),
             ContainsSubstring("field 'dtype': a string expected, got an array"));
  CHECK_THAT(
      r.tensor("\"F32\"", "[\"1\"]", "[0,4]"),
      ContainsSubstring("field 'shape': a number that is not negative expected, got a string"));
  CHECK_THAT(r.tensor("\"F32\"", "[1e999]", "[0,4]"), ContainsSubstring("x.st: "));
  CHECK_THAT(r.tensor("\"F32\"", "\"1\"", "[0,4]"),
             ContainsSubstring("'shape': an array expected, got a string"));
  for (const char* dtype : {"F128", "f32", "", "U64", "F8_E4M3", "C64"})
    CHECK_THAT(r.tensor("\"" + std::string(dtype) + "\"", "[1]", "[0,4]"),
               ContainsSubstring("unknown dtype '" + std::string(dtype) + "': BOOL, U8"));
}

TEST_CASE("hostile safetensors: missing, unknown and repeated fields") {
  Reader r;
  CHECK_THAT(r.header(R"({"a":{}})"), ContainsSubstring("'a', field 'dtype': missing"));
  CHECK_THAT(r.header(R"({"a":{"dtype":"F32","data_offsets":[0,4]}})"),
             ContainsSubstring("'a', field 'shape': missing"));
  CHECK_THAT(r.header(R"({"a":{"dtype":"F32","shape":[1]}})"),
             ContainsSubstring("'a', field 'data_offsets': missing"));
  CHECK_THAT(r.header(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4],"strides":[1]}})"),
             ContainsSubstring("'strides': unknown field"));
  CHECK_THAT(r.header(R"({"a":{"dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4]}})"),
             ContainsSubstring("'a', field 'dtype': occurs twice"));
  std::string body = R"(:{"dtype":"U8","shape":[2],"data_offsets":)";
  CHECK_THAT(r.header("{\"a\"" + body + "[0,2]},\"a\"" + body + "[2,4]}}"),
             ContainsSubstring("'a' occurs twice"));
  CHECK_THAT(r.header("{\"a\"" + body + "[0,2]},\"\\u0061\"" + body + "[2,4]}}"),
             ContainsSubstring("'a' occurs twice"));
  CHECK_THAT(r.header(R"({"__metadata__":{},"__metadata__":{}})", 0),
             ContainsSubstring("'__metadata__' occurs twice"));
  CHECK_THAT(r.header(R"({"__metadata__":{"k":"a","k":"b"}})", 0),
             ContainsSubstring("'__metadata__', field 'k': occurs twice"));
}

TEST_CASE("hostile safetensors: ranges") {
  Reader r;
  CHECK_THAT(r.tensor("\"F32\"", "[1]", "[0]"),
             ContainsSubstring("'data_offsets': 1 numbers, two expected"));
  CHECK_THAT(r.tensor("\"F32\"", "[1]", "[0,4,8]"),
             ContainsSubstring("'data_offsets': more than two numbers"));
  CHECK_THAT(r.tensor("\"F32\"", "[1]", "[4,0]"), ContainsSubstring("ends before it begins"));
  CHECK_THAT(r.tensor("\"F32\"", "[1]", "[0,8]"),
             ContainsSubstring("[0, 8] ends behind the data, which have 4 bytes"));
  CHECK_THAT(r.tensor("\"F32\"", "[2]", "[0,4]"),
             ContainsSubstring("has 4 bytes, 8 expected for F32 [2]"));
  CHECK_THAT(r.tensor("\"F32\"", "[]", "[0,0]"),
             ContainsSubstring("has 0 bytes, 4 expected for F32 []"));
  CHECK_THAT(r.tensor("\"F32\"", "[0]", "[0,4]"), ContainsSubstring("has 4 bytes, 0 expected"));
  CHECK_THAT(r.tensor("\"F32\"", "[1]", "[4,8]", 8),
             ContainsSubstring("leaves a hole: 0 expected as its begin"));
  CHECK_THAT(r.tensor("\"F32\"", "[1]", "[0,4]", 5),
             ContainsSubstring("1 bytes behind the last tensor"));
  auto two = [&](const char* a, const char* b, size_t data) {
    std::string u8 = R"(":{"dtype":"U8","shape":[2],"data_offsets":)";
    return r.header("{\"a" + u8 + a + "},\"b" + u8 + b + "}}", data);
  };
  CHECK(two("[0,2]", "[2,4]", 4) == "");
  CHECK_THAT(
      two("[0,2]", "[0,2]", 2),
      ContainsSubstring(
          "'b', field 'data_offsets': [0, 2] overlaps the tensor before it, which ends at 2"));
  CHECK_THAT(two("[0,2]", "[1,3]", 3),
             ContainsSubstring("'b', field 'data_offsets': [1, 3] overlaps"));
  CHECK_THAT(two("[1,3]", "[0,2]", 3),
             ContainsSubstring("'a', field 'data_offsets': [1, 3] overlaps"));
  CHECK_THAT(two("[0,2]", "[3,5]", 5),
             ContainsSubstring("'b', field 'data_offsets': [3, 5] leaves a hole: 2 expected"));
  // allow_trailing forgives the end only.
  CHECK_THAT(r.says(file_of(R"({"a":{"dtype":"U8","shape":[2],"data_offsets":[1,3]}})", "abc"),
                    {.allow_trailing = true}),
             ContainsSubstring("hole"));
}

TEST_CASE("hostile safetensors: sizes and products that wrap around") {
  Reader r;
  const char* huge[] = {"2147483647", "2147483648", "4294967296", "4611686018427387904",
                        "9223372036854775807"};
  for (const char* size : huge) {
    CAPTURE(size);
    CHECK_THAT(r.tensor("\"F32\"", std::string("[") + size + "]", "[0,4]"),
               ContainsSubstring("field"));
    CHECK_THAT(r.tensor("\"U8\"", std::string("[") + size + "]", std::string("[0,") + size + "]"),
               ContainsSubstring("ends behind the data"));
    CHECK_THAT(r.tensor("\"U8\"", "[4]", std::string("[") + size + ",4]"),
               ContainsSubstring("ends before it begins"));
  }
  CHECK_THAT(r.tensor("\"U8\"", "[9223372036854775808]", "[0,4]"),
             ContainsSubstring("size 9223372036854775808 is too large"));
  CHECK_THAT(r.tensor("\"U8\"", "[18446744073709551615]", "[0,4]"),
             ContainsSubstring("is too large"));
  CHECK_THAT(r.tensor("\"U8\"", "[4]", "[0,18446744073709551615]"),
             ContainsSubstring("ends behind the data"));
  CHECK_THAT(r.tensor("\"U8\"", "[4]", "[18446744073709551612,18446744073709551615]"),
             ContainsSubstring("ends behind the data"));
  // 2^32 x 2^32 = 0, 2^62 x 4 bytes = 0, (2^61 + 1) x 8 = 8 modulo 2^64.
  CHECK_THAT(r.tensor("\"U8\"", "[4294967296,4294967296]", "[0,0]", 0),
             ContainsSubstring("overflows"));
  CHECK_THAT(r.tensor("\"F32\"", "[4611686018427387904]", "[0,0]", 0),
             ContainsSubstring("overflows"));
  CHECK_THAT(r.tensor("\"F64\"", "[2305843009213693953]", "[0,8]", 8),
             ContainsSubstring("overflows"));
  CHECK_THAT(r.tensor("\"U8\"", "[4294967296,4294967296,0]", "[0,0]", 0),
             ContainsSubstring("overflows"));
  CHECK_THAT(r.tensor("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]", 1),
             ContainsSubstring("'shape': more than 8 sizes"));
}

TEST_CASE("hostile safetensors: nothing large is allocated for a lie") {
  Reader r;
  release_cached_memory();
  int64_t before = memory_stats().reserved_bytes;
  CHECK_THAT(r.tensor("\"F64\"", "[1099511627776]", "[0,8796093022208]", 8),
             ContainsSubstring("ends behind the data"));
  CHECK(memory_stats().reserved_bytes - before < 4096);
}

TEST_CASE("hostile safetensors: truth values are 0 or 1") {
  Reader r;
  std::string header = R"({"a":{"dtype":"BOOL","shape":[3],"data_offsets":[0,3]}})";
  CHECK(r.says(file_of(header, std::string("\0\1\1", 3))) == "");
  CHECK_THAT(r.says(file_of(header, std::string("\0\1\2", 3))),
             ContainsSubstring("offset " + std::to_string(8 + header.size() + 2) +
                               ": 'a' is BOOL, 0 or 1 expected, got 2"));
}

TEST_CASE("hostile safetensors: too many tensors") {
  Reader r;
  std::string header = "{";
  for (int i = 0; i <= 1 << 18; ++i)
    header += (i ? ",\"" : "\"") + std::to_string(i) +
              R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})";
  CHECK_THAT(r.header(header + "}", 0), ContainsSubstring("more than 262144 tensors"));
}

TEST_CASE("other formats are named, with a way out") {
  Reader r;
  using namespace std::string_literals;
  std::string rest(200, '\x55');
  for (auto& [bytes, name] : std::vector<std::pair<std::string, std::string>>{
           {"PK\x03\x04\0\0\x08\x08"s, "zip archive"},
           {"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46"s, "pickle"},
           {"\x80\x03}q\0X\x06\0"s, "pickle"},
           {"\x80\x04\x95\x1f\0\0\0\0"s, "pickle"},
           {"\x89HDF\r\n\x1a\n"s, "HDF5"},
           {"\x93NUMPY\x01\0"s, "NumPy"},
           {"GGUF\x03\0\0\0"s, "GGUF"},
           {"\x1f\x8b\x08\0\0\0\0\0"s, "gzip"}}) {
    CAPTURE(name);
    CHECK_THAT(r.says(bytes + rest), ContainsSubstring(name));
    CHECK_THAT(r.says(bytes + rest), ContainsSubstring("convert it to safetensors first"));
  }
  CHECK_THAT(r.says("\x80\x02}."), ContainsSubstring("convert it to safetensors"));
}

TEST_CASE("safetensors: paths that are no files") {
  TempDir dir;
  auto says = [](const std::filesystem::path& path) {
    return message_of<IoError>([&] { read_safetensors(path); });
  };
  CHECK_THAT(says(dir / "none.safetensors"),
             ContainsSubstring("none.safetensors: cannot open: no such file"));
  CHECK_THAT(says(dir.path()), ContainsSubstring("not a regular file"));
  REQUIRE(mkfifo((dir / "pipe").c_str(), 0600) == 0);
  CHECK_THAT(says(dir / "pipe"), ContainsSubstring("not a regular file"));
}
