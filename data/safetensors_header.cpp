#include <heed/data/safetensors_header.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include <heed/core/error.h>
#include <heed/data/utf8.h>

namespace heed::data {

std::span<const StoredType> stored_types() {
  static constexpr StoredType kTypes[] = {
      {"I64", DType::i64, 8},      {"F64", DType::f64, 8},   {"F32", DType::f32, 4},
      {"I32", DType::i32, 4},      {"BF16", DType::bf16, 2}, {"F16", DType::f16, 2},
      {"I16", DType::i32, 2},      {"I8", DType::i32, 1},    {"U8", DType::u8, 1},
      {"BOOL", DType::boolean, 1},
  };
  return kTypes;
}

namespace {
constexpr size_t kMaxTensors = size_t{1} << 18;

std::string in_quotes(const std::string& name) {
  return str("'", name.size() <= 80 ? name : name.substr(0, 80) + "...", "'");
}

// Receives the header token by token, so that a name that occurs twice is seen, and whatever stands
// where it should not is refused at once: nothing can nest deeper than three.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(const std::string& file) : file_(file) {}
  SafeTensorsHeader header;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(int64_t) override { return unexpected("a negative number"); }
  bool number_float(double, const std::string& text) override {
    return unexpected("the number " + text.substr(0, 40));
  }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(uint64_t value) override {
    if (place_ != Place::shape && place_ != Place::offsets)
      return unexpected(str("the number ", value));
    if (place_ == Place::shape && numbers_.size() == kMaxRank)
      fail(str("more than ", kMaxRank, " sizes"));
    if (place_ == Place::offsets && numbers_.size() == 2) fail("more than two numbers");
    numbers_.push_back(value);
    return true;
  }

  bool string(std::string& value) override {
    if (place_ == Place::metadata) {
      header.metadata[field_] = value;
      return true;
    }
    if (place_ != Place::tensor || field_ != "dtype") return unexpected("a string");
    for (const StoredType& type : stored_types())
      if (value == type.name) entry().type = &type;
    if (!entry().type)
      fail(str("unknown dtype ", in_quotes(value),
               ": BOOL, U8, I8, I16, I32, I64, BF16, F16, F32 or F64 expected"));
    return true;
  }

  bool key(std::string& name) override {
    if (place_ == Place::top) {
      if (!names_.insert(name).second)
        throw IoError(str(file_, ": header: ", in_quotes(name), " occurs twice"));
      tensor_ = name;
    } else {
      if (!fields_.insert(name).second) {
        field_ = name;
        fail("occurs twice");
      }
      field_ = name;
      if (place_ == Place::tensor && name != "dtype" && name != "shape" && name != "data_offsets")
        fail("unknown field; dtype, shape and data_offsets expected");
    }
    return true;
  }

  bool start_object(size_t) override {
    if (place_ == Place::before) {
      place_ = Place::top;
    } else if (place_ == Place::top) {
      fields_.clear();
      field_.clear();
      place_ = tensor_ == "__metadata__" ? Place::metadata : Place::tensor;
      if (place_ == Place::tensor) {
        if (header.entries.size() == kMaxTensors)
          throw IoError(str(file_, ": header: more than ", kMaxTensors, " tensors"));
        header.entries.push_back({tensor_, nullptr, {}, 0, 0});
      }
    } else {
      return unexpected("an object");
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor)
      for (const char* name : {"dtype", "shape", "data_offsets"})
        if (!fields_.count(name)) {
          field_ = name;
          fail("missing");
        }
    place_ = place_ == Place::top ? Place::before : Place::top;
    return true;
  }

  bool start_array(size_t) override {
    if (place_ != Place::tensor || (field_ != "shape" && field_ != "data_offsets"))
      return unexpected("an array");
    numbers_.clear();
    place_ = field_ == "shape" ? Place::shape : Place::offsets;
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets) {
      if (numbers_.size() != 2) fail(str(numbers_.size(), " numbers, two expected"));
      entry().begin = numbers_[0];
      entry().end = numbers_[1];
    } else {
      for (uint64_t size : numbers_) {
        if (size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
          fail(str("size ", size, " is too large"));
        entry().shape.push_back(static_cast<int64_t>(size));
      }
    }
    place_ = Place::tensor;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    std::string why = error.what();  // "[json.exception.parse_error.101] parse error at ...: ..."
    if (size_t at = why.find("] "); at != std::string::npos) why.erase(0, at + 2);
    throw IoError(str(file_, ": offset ", 8 + (position ? position - 1 : 0),
                      ": the header is not JSON: ", why.substr(0, 300)));
  }

 private:
  enum class Place { before, top, metadata, tensor, shape, offsets };
  TensorEntry& entry() { return header.entries.back(); }

  [[noreturn]] void fail(const std::string& what) {
    throw IoError(str(file_, ": header: ", in_quotes(tensor_),
                      field_.empty() ? "" : ", field " + in_quotes(field_), ": ", what));
  }
  bool unexpected(const std::string& got) {
    const char* expected = "";
    switch (place_) {
      case Place::before: throw IoError(str(file_, ": header: an object expected, got ", got));
      case Place::top:
        field_.clear();
        expected = "an object";
        break;
      case Place::metadata: expected = "a string"; break;
      case Place::tensor: expected = field_ == "dtype" ? "a string" : "an array"; break;
      default: expected = "a number that is not negative";
    }
    fail(str(expected, " expected, got ", got));
  }

  const std::string& file_;
  Place place_ = Place::before;
  std::string tensor_, field_;
  std::vector<uint64_t> numbers_;
  std::unordered_set<std::string> names_, fields_;
};

// Bytes that the shape asks for. Sizes of zero do not hide an overflow of the others.
uint64_t bytes_of(const TensorEntry& e, const std::string& file) {
  int64_t product = static_cast<int64_t>(e.type->bytes);
  bool zero = false;
  for (int64_t size : e.shape) {
    zero |= size == 0;
    if (size != 0 && __builtin_mul_overflow(product, size, &product))
      throw IoError(
          str(file, ": header: ", in_quotes(e.name), ", field 'shape': ", e.shape, " overflows"));
  }
  return zero ? 0 : static_cast<uint64_t>(product);
}

void check_ranges(SafeTensorsHeader& header, uint64_t data_bytes, bool allow_trailing,
                  const std::string& file) {
  auto fail = [&](const TensorEntry& e, const std::string& what) {
    throw IoError(str(file, ": header: ", in_quotes(e.name), ", field 'data_offsets': [", e.begin,
                      ", ", e.end, "] ", what));
  };
  for (const TensorEntry& e : header.entries) {
    if (e.begin > e.end) fail(e, "ends before it begins");
    if (e.end > data_bytes) fail(e, str("ends behind the data, which have ", data_bytes, " bytes"));
    if (uint64_t wanted = bytes_of(e, file); e.end - e.begin != wanted)
      fail(e, str("has ", e.end - e.begin, " bytes, ", wanted, " expected for ", e.type->name, " ",
                  e.shape));
  }
  std::sort(header.entries.begin(), header.entries.end(),
            [](const TensorEntry& a, const TensorEntry& b) {
              return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
            });
  uint64_t at = 0;
  for (const TensorEntry& e : header.entries) {
    if (e.begin < at) fail(e, str("overlaps the tensor before it, which ends at ", at));
    if (e.begin > at) fail(e, str("leaves a hole: ", at, " expected as its begin"));
    at = e.end;
  }
  if (at != data_bytes && !allow_trailing)
    throw IoError(
        str(file, ": ", data_bytes - at,
            " bytes behind the last tensor, none expected (allow_trailing would accept them)"));
}

void append_json(std::string& out, const std::string& text) {
  out.push_back('"');
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    static constexpr char kHex[] = "0123456789abcdef";
    switch (c) {
      case '"': out += "\\\""; break;
      case '\\': out += "\\\\"; break;
      case '\b': out += "\\b"; break;
      case '\f': out += "\\f"; break;
      case '\n': out += "\\n"; break;
      case '\r': out += "\\r"; break;
      case '\t': out += "\\t"; break;
      default:
        if (byte >= 0x20) out.push_back(c);
        else out.append("\\u00").append({kHex[byte >> 4], kHex[byte & 15]});
    }
  }
  out.push_back('"');
}
}  // namespace

SafeTensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_bytes,
                                           bool allow_trailing, const std::string& file) {
  if (size_t bad = utf8_error(json); bad != json.npos)
    throw IoError(str(file, ": offset ", 8 + bad, ": invalid UTF-8 in the header"));
  size_t first = json.find_first_not_of(' '), last = json.find_last_not_of(' ');
  if (first == json.npos || json[first] != '{')
    throw IoError(str(file, ": offset ", 8 + (first == json.npos ? 0 : first),
                      ": the header does not begin with '{'"));
  if (json[last] != '}')
    throw IoError(str(file, ": offset ", 8 + last, ": the header does not end with '}'"));
  HeaderReader reader(file);
  nlohmann::json::sax_parse(json.begin(), json.end(), &reader);
  check_ranges(reader.header, data_bytes, allow_trailing, file);
  return std::move(reader.header);
}

std::string format_safetensors_header(std::span<const TensorEntry> entries,
                                      const Metadata& metadata) {
  std::string out = "{";
  auto comma = [&] {
    if (out.size() > 1 && out.back() != '{') out.push_back(',');
  };
  if (!metadata.empty()) {
    out += "\"__metadata__\":{";
    for (auto& [key, value] : metadata) {
      comma();
      append_json(out, key);
      out.push_back(':');
      append_json(out, value);
    }
    out.push_back('}');
  }
  for (const TensorEntry& e : entries) {
    comma();
    append_json(out, e.name);
    out += str(":{\"dtype\":\"", e.type->name, "\",\"shape\":[");
    for (int i = 0; i < e.shape.rank(); ++i) out += str(i ? "," : "", e.shape[i]);
    out += str("],\"data_offsets\":[", e.begin, ",", e.end, "]}");
  }
  out.push_back('}');
  out.append((8 - out.size() % 8) % 8, ' ');
  return out;
}

}  // namespace heed::data
