// Files that after a crash are the old or the new one, never a part: write a temporary file beside,
// sync, rename, sync the directory. All failures are an IoError that names the file.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace heed::train {

namespace fs = std::filesystem;

// False also where that cannot be told: the open or read that follows says why.
bool file_exists(const fs::path& path);
bool directory_exists(const fs::path& path);
std::vector<fs::path> list_directory(const fs::path& directory);  // sorted
void make_directories(const fs::path& directory);

std::string read_file(const fs::path& file, int64_t max_bytes = int64_t{1} << 30);
// `write` gets the name of a temporary file in the same directory; then sync and rename to `file`.
void replace_file(const fs::path& file,
                  const std::function<void(const fs::path& temporary)>& write);
void replace_file(const fs::path& file, std::string_view text);

void sync_file(const fs::path& file_or_directory);
void sync_tree(const fs::path& directory);  // every file and directory in it, and itself last
// Renames; where `to` exists the two change places at once if the file system can.
void rename_directory(const fs::path& from, const fs::path& to);

struct FileSum {
  int64_t bytes = 0;
  uint32_t crc32 = 0;
};
FileSum file_sum(const fs::path& file);

}  // namespace heed::train
