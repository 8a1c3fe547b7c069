#include <heed/data/safetensors.h>

#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>

#include <heed/core/error.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
const std::string kGolden = HEED_SOURCE_DIR "/tests/golden/safetensors_golden";

std::string hex_of(const NamedArray& t) {
  static constexpr char kHex[] = "0123456789abcdef";
  const auto* bytes = static_cast<const unsigned char*>(t.array.raw());
  size_t item = size_of(t.array.dtype()), keep = t.stored_as == "I8"    ? 1
                                                 : t.stored_as == "I16" ? 2
                                                                        : item;
  std::string hex;
  for (size_t i = 0; i < static_cast<size_t>(t.array.bytes()); ++i)
    if (i % item < keep) hex.append({kHex[bytes[i] >> 4], kHex[bytes[i] & 15]});
  return hex;
}

std::string file_dtype(const NamedArray& t) {
  if (!t.stored_as.empty()) return t.stored_as;
  std::string name = t.array.dtype() == DType::boolean ? "bool" : to_string(t.array.dtype());
  for (char& c : name) c = static_cast<char>(std::toupper(c));
  return name;
}

double value(const Array& a, int64_t i) {
  switch (a.dtype()) {
    case DType::f32: return a.data<float>()[i];
    case DType::f64: return a.data<double>()[i];
    case DType::bf16: return to_float(a.data<bfloat16>()[i]);
    case DType::f16: return to_float(a.data<float16>()[i]);
    case DType::u8: return a.data<uint8_t>()[i];
    case DType::i32: return a.data<int32_t>()[i];
    case DType::i64: return static_cast<double>(a.data<int64_t>()[i]);
    default: return a.data<bool>()[i];
  }
}
}  // namespace

TEST_CASE("safetensors: reads the file of the reference implementation") {
  auto expected = nlohmann::json::parse(read_bytes(kGolden + ".json"));
  SafeTensors file = read_safetensors(kGolden + ".safetensors");
  CHECK(file.metadata == expected["metadata"].get<Metadata>());
  REQUIRE(file.tensors.size() == expected["tensors"].size());
  for (size_t i = 0; i < file.tensors.size(); ++i) {
    auto& want = expected["tensors"][i];
    const NamedArray& got = file.tensors[i];
    CAPTURE(got.name);
    CHECK(got.name == want["name"].get<std::string>());
    CHECK(file_dtype(got) == want["dtype"].get<std::string>());
    auto sizes = want["shape"].get<std::vector<int64_t>>();
    CHECK(got.array.shape() == Shape(sizes.data(), static_cast<int>(sizes.size())));
    CHECK(hex_of(got) == want["hex"].get<std::string>());
    std::vector<nlohmann::json> flat = want["values"];
    REQUIRE(static_cast<int64_t>(flat.size()) == got.array.numel());
    for (int64_t k = 0; k < got.array.numel(); ++k) {
      const auto& v = flat[static_cast<size_t>(k)];
      double number = v.is_boolean()                   ? (v.get<bool>() ? 1.0 : 0.0)
                      : !v.is_string()                 ? v.get<double>()
                      : v.get<std::string>() == "nan"  ? NAN
                      : v.get<std::string>()[0] == '-' ? -INFINITY
                                                       : INFINITY;
      if (std::isnan(number)) CHECK(std::isnan(value(got.array, k)));
      else CHECK(value(got.array, k) == number);
    }
  }
}

TEST_CASE("safetensors: writes the bytes of the reference implementation") {
  TempDir dir;
  SafeTensors file = read_safetensors(kGolden + ".safetensors");
  std::reverse(file.tensors.begin(), file.tensors.end());  // the writer has its own order
  write_safetensors(dir / "out", file.tensors, file.metadata);
  CHECK(read_bytes(dir / "out") == read_bytes(kGolden + ".safetensors"));
}

TEST_CASE("safetensors: every golden file comes back to the byte") {
  TempDir dir;
  int files = 0;
  for (auto& entry : std::filesystem::directory_iterator(HEED_SOURCE_DIR "/tests/golden")) {
    if (entry.path().extension() != ".safetensors") continue;
    CAPTURE(entry.path().string());
    SafeTensors file = read_safetensors(entry.path());
    write_safetensors(dir / "out", file.tensors, file.metadata);
    CHECK(read_bytes(dir / "out") == read_bytes(entry.path()));
    ++files;
  }
  CHECK(files >= 10);
}

TEST_CASE("safetensors: views, scalars, empty arrays, odd names") {
  TempDir dir;
  Array a = Array::from<float>({1, 2, 3, 4, 5, 6}, {2, 3});
  std::string odd = "a \"b\" \\ \n\t\x01 \x7f äß 😀";
  write_safetensors(dir / "v",
                    {{"t", a.transpose(0, 1)},
                     {"s", a.slice(1, 0, 3, 2)},
                     {"b", a.select(0, 1).unsqueeze(0).broadcast_to({2, 3})},
                     {"scalar", Array::from<int64_t>({7}, {})},
                     {"none", Array::empty({0, 4}, DType::u8, kCpu)},
                     {odd, Array::from<bool>({true}, {1})}},
                    {{odd, odd}, {"", ""}});
  SafeTensors file = read_safetensors(dir / "v");
  auto floats = [&](const char* name) {
    const Array& x = file.at(name);
    return std::vector<float>(x.data<float>(), x.data<float>() + x.numel());
  };
  CHECK(file.at("t").shape() == Shape{3, 2});
  CHECK(floats("t") == std::vector<float>{1, 4, 2, 5, 3, 6});
  CHECK(floats("s") == std::vector<float>{1, 3, 4, 6});
  CHECK(floats("b") == std::vector<float>{4, 5, 6, 4, 5, 6});
  CHECK(file.at("scalar").rank() == 0);
  CHECK(file.at("scalar").data<int64_t>()[0] == 7);
  CHECK(file.at("none").shape() == Shape{0, 4});
  CHECK(file.at(odd).data<bool>()[0]);
  CHECK(file.metadata == Metadata{{odd, odd}, {"", ""}});
  CHECK(file.find("x") == nullptr);
  REQUIRE_THROWS_SAYING(file.at("x"), ValueError, "no tensor 'x'; there are 6: scalar, ");

  write_safetensors(dir / "nothing", std::vector<NamedArray>{});
  CHECK(read_bytes(dir / "nothing") == std::string("\x08\0\0\0\0\0\0\0{}      ", 16));
  CHECK(read_safetensors(dir / "nothing").tensors.empty());
}

TEST_CASE("safetensors: what cannot be written") {
  TempDir dir;
  Array a = Array::from<int32_t>({1, 200}, {2});
  auto write = [&](NamedArray t) { write_safetensors(dir / "w", {t}); };
  REQUIRE_THROWS_SAYING(write_safetensors(dir / "w", {{"a", a}, {"a", a}}), ValueError,
                        "two tensors named 'a'");
  REQUIRE_THROWS_SAYING(write({"__metadata__", a}), ValueError, "cannot be the name");
  REQUIRE_THROWS_SAYING(write({"\xFF", a}), ValueError, "cannot be the name");
  REQUIRE_THROWS_SAYING(write({"a", Array()}), ValueError, "undefined");
  REQUIRE_THROWS_SAYING(write({"a", a, "I8"}), ValueError, "200 does not fit into I8");
  REQUIRE_THROWS_SAYING(write({"a", a, "F32"}), ValueError, "i32 cannot be stored as F32");
  REQUIRE_THROWS_SAYING(write_safetensors(dir / "w", {{"a", a}}, {{"k", "\xC3"}}), ValueError,
                        "metadata 'k'");
  REQUIRE_THROWS_SAYING(write_safetensors(dir / "no" / "w", {{"a", a}}), IoError, "cannot write");
  if (std::filesystem::exists("/dev/full"))
    REQUIRE_THROWS_SAYING(
        write_safetensors("/dev/full", {{"a", Array::zeros({100000}, DType::f32, kCpu)}}), IoError,
        "cannot write");
}
