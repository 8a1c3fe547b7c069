#include <heed/data/lines.h>

#include <algorithm>

#include <heed/core/error.h>
#include <heed/data/byte_source.h>
#include <heed/data/utf8.h>

namespace heed::data {

LineReader::LineReader(const std::string& path)
    : path_(path), input_(std::make_unique<ByteSource>(path)) {}
LineReader::~LineReader() = default;
LineReader::LineReader(LineReader&&) noexcept = default;

size_t LineReader::end_of_line(bool wait) {
  size_t end;
  while ((end = buffer_.find('\n', searched_)) == std::string::npos) {
    buffer_.erase(0, position_);  // what remains is one unfinished line
    position_ = 0;
    searched_ = buffer_.size();
    if (buffer_.size() > static_cast<size_t>(kMaxLineBytes))
      throw IoError(str(path_, ":", number_ + 1, ": line longer than ", kMaxLineBytes, " bytes"));
    if (!wait && !input_->ready()) return std::string::npos;
    if (!input_->read(buffer_)) return buffer_.size();
  }
  searched_ = end;
  return end;
}

bool LineReader::ready() { return end_of_line(false) != std::string::npos; }

bool LineReader::next(std::string& line) {
  size_t end = end_of_line(true);
  if (position_ == buffer_.size()) return false;
  std::string_view text(buffer_.data() + position_, end - position_);
  ++number_;
  if (text.size() > static_cast<size_t>(kMaxLineBytes))
    throw IoError(str(path_, ":", number_, ": line longer than ", kMaxLineBytes, " bytes"));
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (number_ == 1 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (size_t bad = utf8_error(text); bad != std::string_view::npos)
    throw IoError(str(path_, ":", number_, ": invalid UTF-8 at byte ", bad + 1, " of the line"));
  line.assign(text);
  position_ = searched_ = std::min(end + 1, buffer_.size());
  return true;
}

std::vector<std::string> read_lines(const std::string& path) {
  std::vector<std::string> lines;
  LineReader reader(path);
  for (std::string line; reader.next(line);) lines.push_back(line);
  return lines;
}

std::string read_text(const std::string& path) {
  std::string text;
  LineReader reader(path);
  for (std::string line; reader.next(line);) text.append(line).push_back('\n');
  return text;
}

}  // namespace heed::data
