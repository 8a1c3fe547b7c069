#include <heed/train/files.h>

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>
#include <vector>

#include <heed/core/error.h>

namespace heed::train {

namespace {
[[noreturn]] void fail(const fs::path& file, const char* what) {
  throw IoError(str(file.string(), ": ", what, ": ", std::strerror(errno)));
}

// Closes itself; a failing close matters only after a write, where close_checked is called.
class Descriptor {
 public:
  Descriptor(const fs::path& file, int flags) : file_(file) {
    do fd_ = ::open(file.c_str(), flags | O_CLOEXEC, 0666);
    while (fd_ < 0 && errno == EINTR);
    if (fd_ < 0) fail(file, "cannot be opened");
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  int get() const { return fd_; }

  void write(std::string_view text) const {
    while (!text.empty()) {
      ssize_t n = ::write(fd_, text.data(), text.size());
      if (n < 0 && errno != EINTR) fail(file_, "cannot be written");
      if (n > 0) text.remove_prefix(static_cast<size_t>(n));
    }
  }
  size_t read(char* into, size_t size) const {
    ssize_t n;
    do n = ::read(fd_, into, size);
    while (n < 0 && errno == EINTR);
    if (n < 0) fail(file_, "cannot be read");
    return static_cast<size_t>(n);
  }
  void sync() const {
    while (::fsync(fd_) != 0)
      if (errno != EINTR) fail(file_, "cannot be synced to disk");
  }
  void close_checked() {
    int fd = std::exchange(fd_, -1);
    if (::close(fd) != 0 && errno != EINTR) fail(file_, "cannot be closed");
  }

 private:
  fs::path file_;
  int fd_ = -1;
};

fs::path parent_of(const fs::path& file) {
  return file.has_parent_path() ? file.parent_path() : fs::path(".");
}
}  // namespace

bool file_exists(const fs::path& path) {
  std::error_code error;
  return fs::is_regular_file(path, error);
}

bool directory_exists(const fs::path& path) {
  std::error_code error;
  return fs::is_directory(path, error);
}

std::vector<fs::path> list_directory(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> out;
  fs::directory_iterator entry(directory, error), end;
  for (; !error && entry != end; entry.increment(error)) out.push_back(entry->path());
  if (error) throw IoError(str(directory.string(), ": cannot be listed: ", error.message()));
  std::sort(out.begin(), out.end());
  return out;
}

void make_directories(const fs::path& directory) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) throw IoError(str(directory.string(), ": cannot be made: ", error.message()));
}

std::string read_file(const fs::path& file, int64_t max_bytes) {
  Descriptor in(file, O_RDONLY);
  std::string text;
  std::vector<char> chunk(size_t{1} << 16);
  while (size_t n = in.read(chunk.data(), chunk.size())) {
    text.append(chunk.data(), n);
    if (static_cast<int64_t>(text.size()) > max_bytes)
      throw IoError(str(file.string(), ": more than ", max_bytes, " bytes"));
  }
  return text;
}

void sync_file(const fs::path& file_or_directory) {
  Descriptor in(file_or_directory, O_RDONLY);
  in.sync();
  in.close_checked();
}

void sync_tree(const fs::path& directory) {
  for (const fs::path& entry : list_directory(directory))
    directory_exists(entry) ? sync_tree(entry) : sync_file(entry);
  sync_file(directory);
}

void replace_file(const fs::path& file, const std::function<void(const fs::path&)>& write) {
  fs::path temporary = file;
  temporary += ".tmp";
  try {
    write(temporary);
    // The new file keeps the permissions of the one it replaces.
    struct stat old {};
    if (::stat(file.c_str(), &old) == 0) ::chmod(temporary.c_str(), old.st_mode & 07777);
    sync_file(temporary);
    if (::rename(temporary.c_str(), file.c_str()) != 0) fail(file, "cannot be replaced");
  } catch (...) {
    std::error_code ignored;
    fs::remove(temporary, ignored);
    throw;
  }
  sync_file(parent_of(file));
}

void replace_file(const fs::path& file, std::string_view text) {
  replace_file(file, [&](const fs::path& temporary) {
    Descriptor out(temporary, O_WRONLY | O_CREAT | O_TRUNC);
    out.write(text);
    out.close_checked();
  });
}

void rename_directory(const fs::path& from, const fs::path& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return;
  if (errno != ENOTEMPTY && errno != EEXIST) fail(to, "cannot be renamed into place");
  // `to` has files: change places at once; `from` then names the old one.
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_EXCHANGE) == 0) return;
  if (errno != EINVAL && errno != ENOSYS && errno != EXDEV) fail(to, "cannot be exchanged");
  fs::path aside = to;
  aside += ".old.tmp";
  std::error_code ignored;
  fs::remove_all(aside, ignored);
  if (::rename(to.c_str(), aside.c_str()) != 0) fail(to, "cannot be moved aside");
  if (::rename(from.c_str(), to.c_str()) != 0) fail(to, "cannot be renamed into place");
  if (::rename(aside.c_str(), from.c_str()) != 0) fail(from, "cannot be moved aside");
}

FileSum file_sum(const fs::path& file) {
  Descriptor in(file, O_RDONLY);
  FileSum sum;
  uLong crc = ::crc32(0, nullptr, 0);
  std::vector<char> chunk(size_t{1} << 18);
  while (size_t n = in.read(chunk.data(), chunk.size())) {
    crc = ::crc32(crc, reinterpret_cast<const Bytef*>(chunk.data()), static_cast<uInt>(n));
    sum.bytes += static_cast<int64_t>(n);
  }
  sum.crc32 = static_cast<uint32_t>(crc);
  return sum;
}

}  // namespace heed::train
