#include <heed/data/safetensors.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>
#include <unordered_set>

#include <heed/core/error.h>
#include <heed/data/safetensors_header.h>
#include <heed/data/utf8.h>

namespace heed::data {

static_assert(std::endian::native == std::endian::little, "the format is little-endian");

namespace {
constexpr uint64_t kMaxHeader = 100'000'000;

struct CloseTensors {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using TensorFile = std::unique_ptr<std::FILE, CloseTensors>;

// What a file that is not safetensors is, by its first bytes.
std::string other_format(std::string_view head) {
  struct Magic {
    std::string_view bytes;
    const char* name;
  };
  using namespace std::string_view_literals;
  static constexpr Magic kMagics[] = {
      {"PK\x03\x04"sv, "a zip archive, as PyTorch (.pt) and NumPy (.npz) write them"},
      {"\x89HDF\r\n\x1a\n"sv, "an HDF5 file (.h5)"},
      {"\x80\x02"sv, "a Python pickle (.pkl, .pt)"},
      {"\x80\x03"sv, "a Python pickle (.pkl, .pt)"},
      {"\x80\x04"sv, "a Python pickle (.pkl, .pt)"},
      {"\x80\x05"sv, "a Python pickle (.pkl, .pt)"},
      {"\x93NUMPY"sv, "a NumPy file (.npy)"},
      {"GGUF"sv, "a GGUF file"},
      {"\x1f\x8b"sv, "a gzip file"},
  };
  for (const Magic& magic : kMagics)
    if (head.starts_with(magic.bytes))
      return str(": this is ", magic.name,
                 "; convert it to safetensors first (Python: "
                 "safetensors.torch.save_file(state_dict, \"model.safetensors\"))");
  return "";
}

void read_exactly(std::FILE* in, void* to, size_t bytes, uint64_t offset, const std::string& file) {
  if (bytes && std::fread(to, 1, bytes, in) != bytes)
    throw IoError(str(file, ": cannot read ", bytes, " bytes at offset ", offset, ": ",
                      std::ferror(in) ? std::strerror(errno) : "the file became shorter"));
}

template <class Narrow>
void widen(Array& array, const std::vector<char>& bytes) {
  for (int64_t i = 0; i < array.numel(); ++i) {
    Narrow value;
    std::memcpy(&value, bytes.data() + static_cast<size_t>(i) * sizeof value, sizeof value);
    array.data<int32_t>()[i] = value;
  }
}

NamedArray read_tensor(std::FILE* in, const TensorEntry& e, uint64_t data_begin,
                       const std::string& file) {
  NamedArray out{e.name, Array::empty(e.shape, e.type->dtype, kCpu)};
  size_t bytes = e.end - e.begin;
  if (e.type->bytes == size_of(e.type->dtype)) {
    read_exactly(in, out.array.raw(), bytes, data_begin + e.begin, file);
  } else {
    std::vector<char> narrow(bytes);
    read_exactly(in, narrow.data(), bytes, data_begin + e.begin, file);
    out.stored_as = e.type->name;
    e.type->bytes == 1 ? widen<int8_t>(out.array, narrow) : widen<int16_t>(out.array, narrow);
  }
  if (e.type->dtype == DType::boolean) {
    auto* values = static_cast<const unsigned char*>(out.array.raw());
    auto* bad = std::find_if(values, values + bytes, [](unsigned char v) { return v > 1; });
    if (bad != values + bytes)
      throw IoError(str(file, ": offset ",
                        data_begin + e.begin + static_cast<uint64_t>(bad - values), ": '", e.name,
                        "' is BOOL, 0 or 1 expected, got ", int{*bad}));
  }
  return out;
}

// Row-major bytes of an array with any strides.
std::vector<char> gather(const Array& array) {
  std::vector<char> out(static_cast<size_t>(array.bytes()));
  size_t item = size_of(array.dtype());
  Shape index = Shape::filled(array.rank(), 0);
  auto* from = static_cast<const char*>(array.raw());
  for (size_t at = 0; at < out.size(); at += item) {
    int64_t offset = 0;
    for (int i = 0; i < array.rank(); ++i) offset += index[i] * array.strides()[i];
    std::memcpy(out.data() + at, from + offset * static_cast<int64_t>(item), item);
    for (int i = array.rank() - 1; i >= 0 && ++index[i] == array.shape()[i]; --i) index[i] = 0;
  }
  return out;
}

template <class Narrow>
std::vector<char> narrow(const std::vector<char>& bytes, const NamedArray& tensor) {
  std::vector<char> out(bytes.size() / 4 * sizeof(Narrow));
  for (size_t i = 0; i < bytes.size() / 4; ++i) {
    int32_t value;
    std::memcpy(&value, bytes.data() + 4 * i, 4);
    auto small = static_cast<Narrow>(value);
    if (small != value)
      throw ValueError(str("write_safetensors: '", tensor.name, "': ", value, " does not fit into ",
                           tensor.stored_as));
    std::memcpy(out.data() + i * sizeof small, &small, sizeof small);
  }
  return out;
}

const StoredType* stored_type(const NamedArray& tensor) {
  for (const StoredType& type : stored_types()) {
    bool own = size_of(type.dtype) == type.bytes;
    if (type.dtype == tensor.array.dtype() &&
        (tensor.stored_as.empty() ? own : tensor.stored_as == type.name))
      return &type;
  }
  throw ValueError(str("write_safetensors: '", tensor.name, "': an array of ", tensor.array.dtype(),
                       " cannot be stored as ", tensor.stored_as));
}

std::vector<TensorEntry> layout(std::span<const NamedArray> tensors,
                                std::vector<const NamedArray*>& order) {
  std::unordered_set<std::string_view> names;
  for (const NamedArray& t : tensors) {
    if (utf8_error(t.name) != std::string::npos || t.name == "__metadata__")
      throw ValueError(str("write_safetensors: '", t.name, "' cannot be the name of a tensor"));
    if (!names.insert(t.name).second)
      throw ValueError(str("write_safetensors: two tensors named '", t.name, "'"));
    if (!t.array.defined()) throw ValueError(str("write_safetensors: '", t.name, "' is undefined"));
    order.push_back(&t);
  }
  std::sort(order.begin(), order.end(), [](const NamedArray* a, const NamedArray* b) {
    const StoredType *x = stored_type(*a), *y = stored_type(*b);
    return x != y ? x < y : a->name < b->name;
  });
  std::vector<TensorEntry> entries;
  uint64_t at = 0;
  for (const NamedArray* t : order) {
    const StoredType* type = stored_type(*t);
    uint64_t bytes = static_cast<uint64_t>(t->array.numel()) * type->bytes;
    entries.push_back({t->name, type, t->array.shape(), at, at + bytes});
    at += bytes;
  }
  return entries;
}
}  // namespace

const Array* SafeTensors::find(const std::string& name) const {
  for (const NamedArray& t : tensors)
    if (t.name == name) return &t.array;
  return nullptr;
}

const Array& SafeTensors::at(const std::string& name) const {
  if (const Array* array = find(name)) return *array;
  std::string names;
  for (size_t i = 0; i < tensors.size() && i < 20; ++i) names += (i ? ", " : "") + tensors[i].name;
  throw ValueError(str("safetensors: no tensor '", name, "'; there are ", tensors.size(), ": ",
                       names, tensors.size() > 20 ? ", ..." : ""));
}

SafeTensors read_safetensors(const std::string& file, const SafeTensorsOptions& options) {
  std::error_code error;
  auto status = std::filesystem::status(file, error);
  if (!std::filesystem::exists(status)) throw IoError(str(file, ": cannot open: no such file"));
  if (!std::filesystem::is_regular_file(status))
    throw IoError(str(file, ": not a regular file, a safetensors file expected"));
  uint64_t size = std::filesystem::file_size(file, error);
  TensorFile in(std::fopen(file.c_str(), "rb"));
  if (error || !in)
    throw IoError(str(file, ": cannot open: ", error ? error.message() : std::strerror(errno)));

  char head[8] = {};
  read_exactly(in.get(), head, std::min<uint64_t>(size, 8), 0, file);
  std::string hint = other_format(std::string_view(head, std::min<uint64_t>(size, 8)));
  if (size < 8)
    throw IoError(str(file, ": ", size, " bytes, at least 8 expected of a safetensors file", hint));
  uint64_t header_bytes;
  std::memcpy(&header_bytes, head, 8);
  if (header_bytes > kMaxHeader)
    throw IoError(str(file, ": offset 0: header length ", header_bytes, ", at most ", kMaxHeader,
                      " expected", hint));
  if (header_bytes > size - 8)
    throw IoError(str(file, ": offset 0: header length ", header_bytes, ", but only ", size - 8,
                      " bytes follow", hint));
  std::string json(header_bytes, '\0');
  read_exactly(in.get(), json.data(), header_bytes, 8, file);
  SafeTensorsHeader header =
      parse_safetensors_header(json, size - 8 - header_bytes, options.allow_trailing, file);

  SafeTensors out;
  out.metadata = std::move(header.metadata);
  out.tensors.reserve(header.entries.size());
  for (const TensorEntry& e : header.entries)
    out.tensors.push_back(read_tensor(in.get(), e, 8 + header_bytes, file));
  return out;
}

void write_safetensors(const std::string& file, std::span<const NamedArray> tensors,
                       const Metadata& metadata) {
  std::vector<const NamedArray*> order;
  std::vector<TensorEntry> entries = layout(tensors, order);
  for (auto& [key, value] : metadata)
    if (utf8_error(key) != std::string::npos || utf8_error(value) != std::string::npos)
      throw ValueError(str("write_safetensors: metadata '", key, "' is not UTF-8"));
  std::string header = format_safetensors_header(entries, metadata);
  if (header.size() > kMaxHeader)
    throw ValueError(str("write_safetensors: header of ", header.size(), " bytes, at most ",
                         kMaxHeader, " can be read"));

  TensorFile out(std::fopen(file.c_str(), "wb"));
  if (!out) throw IoError(str(file, ": cannot write: ", std::strerror(errno)));
  // Without a buffer the count that fwrite returns is what reached the file, so that a write that a
  // signal interrupted can go on there.
  std::setvbuf(out.get(), nullptr, _IONBF, 0);
  auto put = [&](const void* bytes, size_t count) {
    for (auto* at = static_cast<const char*>(bytes); count > 0;) {
      size_t written = std::fwrite(at, 1, count, out.get());
      at += written;
      count -= written;
      if (count > 0 && errno != EINTR)
        throw IoError(str(file, ": cannot write: ", std::strerror(errno)));
      std::clearerr(out.get());
    }
  };
  uint64_t length = header.size();
  put(&length, 8);
  put(header.data(), header.size());
  for (size_t i = 0; i < order.size(); ++i) {
    const NamedArray& t = *order[i];
    if (t.stored_as.empty() && t.array.is_contiguous()) {
      put(t.array.raw(), static_cast<size_t>(t.array.bytes()));
    } else {
      std::vector<char> bytes = gather(t.array);
      if (entries[i].type->bytes == 1 && size_of(t.array.dtype()) == 4)
        bytes = narrow<int8_t>(bytes, t);
      if (entries[i].type->bytes == 2 && size_of(t.array.dtype()) == 4)
        bytes = narrow<int16_t>(bytes, t);
      put(bytes.data(), bytes.size());
    }
  }
  if (std::fclose(out.release()) != 0)
    throw IoError(str(file, ": cannot write: ", std::strerror(errno)));
}

}  // namespace heed::data
