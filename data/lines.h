// Text files, plain or gzip (told apart by the first two bytes, 1f 8b), read line by line.
//
// Lines end with \n or \r\n; the last one may end with the file. No other character ends a line (so
// a U+2028 inside a sentence cannot shift two aligned files). A byte order mark at the beginning is
// dropped. Lines are valid UTF-8 of at most kMaxLineBytes.
//
// IoError: missing file, directory, file that cannot be read (names the file); invalid UTF-8, line
// too long (file, line, byte); truncated or corrupt gzip data, other bytes after them, or a file
// named .gz that is not gzip (file, byte offset in the compressed file).
//
//   LineReader reader("train.en.gz");
//   for (std::string line; reader.next(line);) ...
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace heed::data {

class ByteSource;

inline constexpr int64_t kMaxLineBytes = int64_t{1} << 24;

class LineReader {
 public:
  explicit LineReader(const std::string& path);
  ~LineReader();
  LineReader(LineReader&&) noexcept;
  bool next(std::string& line);  // false at the end
  bool ready();                  // next() would not have to wait for input; its errors
  int64_t line_number() const { return number_; }  // of the line last returned, from 1
  const std::string& path() const { return path_; }

 private:
  // Where the line at position_ ends; the end of the buffer where the input ends without a \n.
  // npos: not known yet, and more input would have to be waited for, which `wait` allows.
  size_t end_of_line(bool wait);

  std::string path_;
  std::unique_ptr<ByteSource> input_;
  std::string buffer_;
  size_t position_ = 0;  // where the next line begins
  size_t searched_ = 0;  // up to where there is no \n behind position_
  int64_t number_ = 0;
};

std::vector<std::string> read_lines(const std::string& path);
// The whole file as one string with the same checks (line ends become \n).
std::string read_text(const std::string& path);

}  // namespace heed::data
