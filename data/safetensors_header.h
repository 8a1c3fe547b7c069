// The JSON header of a safetensors file: parsed, checked and written. Internal to data/.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <heed/data/safetensors.h>

namespace heed::data {

struct StoredType {
  const char* name;  // "F32"
  DType dtype;       // of the Array that holds it
  uint64_t bytes;    // an element in the file
};
// In the order in which the reference implementation writes them.
std::span<const StoredType> stored_types();

struct TensorEntry {
  std::string name;
  const StoredType* type = nullptr;
  Shape shape;
  uint64_t begin = 0, end = 0;
};

struct SafeTensorsHeader {
  std::vector<TensorEntry> entries;  // sorted by begin
  Metadata metadata;
};

// `json`: the header's N bytes; `data_bytes`: how many follow them. All checks of safetensors.h;
// IoError.
SafeTensorsHeader parse_safetensors_header(std::string_view json, uint64_t data_bytes,
                                           bool allow_trailing, const std::string& file);
// Padded to a multiple of 8 bytes. `entries` in the order of the data.
std::string format_safetensors_header(std::span<const TensorEntry> entries,
                                      const Metadata& metadata);

}  // namespace heed::data
