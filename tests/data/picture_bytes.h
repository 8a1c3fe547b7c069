// Picture files for tests: the golden ones, and PNG made chunk by chunk.
#pragma once

#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include <heed/tests/data/temp_dir.h>

namespace heed::test {

inline std::vector<std::filesystem::path> golden_pictures() {
  std::vector<std::filesystem::path> paths;
  for (auto& entry : std::filesystem::directory_iterator(HEED_SOURCE_DIR "/tests/golden/pictures"))
    paths.push_back(entry.path());
  std::sort(paths.begin(), paths.end());
  return paths;
}
inline std::string golden_picture(std::string_view name) {
  return read_bytes(std::filesystem::path(HEED_SOURCE_DIR "/tests/golden/pictures") / name);
}

inline std::string big_endian(uint64_t number) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(number >> shift));
  return out;
}
inline std::string png_chunk(std::string_view type, std::string_view content) {
  std::string body = std::string(type).append(content);
  return big_endian(content.size()) + body +
         big_endian(
             crc32(0, reinterpret_cast<const Bytef*>(body.data()), static_cast<uInt>(body.size())));
}
inline std::string png_header(uint64_t width, uint64_t height, int bits, int colour) {
  std::string content = big_endian(width) + big_endian(height);
  content.append({static_cast<char>(bits), static_cast<char>(colour), 0, 0, 0});
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", content);
}
inline std::string deflated(std::string_view raw) {
  uLongf size = compressBound(raw.size());
  std::string out(size, '\0');
  compress(reinterpret_cast<Bytef*>(out.data()), &size, reinterpret_cast<const Bytef*>(raw.data()),
           raw.size());
  out.resize(size);
  return out;
}

}  // namespace heed::test
