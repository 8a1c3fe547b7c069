#include <heed/data/write_file.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include <heed/core/error.h>

namespace heed::data {

void write_file(const std::string& path, std::string_view bytes) {
  std::FILE* file = std::fopen(path.c_str(), "wb");
  bool good = file && std::fwrite(bytes.data(), 1, bytes.size(), file) == bytes.size();
  int error = errno;
  if (file && std::fclose(file) != 0 && good) {
    good = false;
    error = errno;
  }
  if (!good) throw IoError(str(path, ": cannot write: ", std::strerror(error)));
}

}  // namespace heed::data
