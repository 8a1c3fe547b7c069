// safetensors: the file format of weights. Files are read and written whole and contain no code.
//
//   8 bytes   N, little-endian
//   N bytes   JSON, UTF-8, padded with blanks:
//             {"__metadata__": {"k": "v"},
//              "name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}}
//   the rest  the tensors, row-major, little-endian; offsets count from here
//
// The ranges must cover the rest without holes or overlap, and each be as long as its shape says.
// dtypes: BOOL U8 I8 I16 I32 I64 BF16 F16 F32 F64. I8 and I16 are read into i32 (`stored_as` keeps
// their name); all others become the Array's own type.
//
// Reading: every length is checked before anything is allocated. IoError, naming file, tensor and
// field or offset and what was expected, for whatever does not hold; for PyTorch, pickle, HDF5 and
// other files it says how to convert them. Limits: header 100 MB, rank 8, 262144 tensors.
//
// Writing: byte for byte what the reference implementation writes (order: dtype, then name). Not
// atomic: write beside and rename. IoError; ValueError for names that occur twice, are
// "__metadata__" or not UTF-8.
//
//   write_safetensors("w.safetensors", {{"weight", a}}, {{"format", "pt"}});
//   Array a = read_safetensors("w.safetensors").at("weight");
#pragma once

#include <map>
#include <span>
#include <string>
#include <vector>

#include <heed/core/array.h>

namespace heed::data {

struct NamedArray {
  std::string name;
  Array array;  // any strides; written row-major
  // "I8" or "I16" for an i32 array of a narrower type in the file, else empty.
  std::string stored_as{};
};

using Metadata = std::map<std::string, std::string>;

struct SafeTensors {
  std::vector<NamedArray> tensors;  // in the order of the file's data
  Metadata metadata;
  const Array* find(const std::string& name) const;  // nullptr when there is none
  const Array& at(const std::string& name) const;    // ValueError lists what there is
};

struct SafeTensorsOptions {
  bool allow_trailing = false;  // bytes behind the last tensor; some published files have them
};

SafeTensors read_safetensors(const std::string& file, const SafeTensorsOptions& options = {});
void write_safetensors(const std::string& file, std::span<const NamedArray> tensors,
                       const Metadata& metadata = {});
// For a braced list of tensors.
inline void write_safetensors(const std::string& path, std::initializer_list<NamedArray> tensors,
                              const Metadata& metadata = {}) {
  write_safetensors(path, std::span<const NamedArray>(tensors.begin(), tensors.size()), metadata);
}

}  // namespace heed::data
