// The bytes of a file, inflated if they are gzip (told apart by the first two bytes, 1f 8b): any
// number of members, nothing else behind them. For lines.cpp and the readers of image files.
//
// IoError: missing file, directory, file that cannot be read (names the file); truncated or corrupt
// gzip data, other bytes after them, or a file named .gz that is not gzip (file, byte offset in the
// compressed file).
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace heed::data {

// The most bytes that deflate makes of one.
inline constexpr uint64_t kMostInflated = 1032;

// Whether there is a file or directory of that name. A broken link counts as there: opening it says
// what is wrong.
bool is_there(const std::filesystem::path& path);
// IoError for a pipe, a device or a socket, whose end may never come. For files that a program
// finds by itself; one that the user names may be a pipe.
void require_regular(const std::filesystem::path& path);

class ByteSource {
 public:
  explicit ByteSource(const std::string& path);
  ~ByteSource();
  bool read(std::string& out);  // appends some bytes, as soon as any come; false at the end
  // Whether read() would not have to wait, as it may for a pipe. Of gzip data: there are new ones.
  bool ready() const;
  // The most bytes that there can be: the size of the file, of gzip data kMostInflated times that.
  // What a header promises beyond it is not worth allocating.
  uint64_t most_bytes() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace heed::data
