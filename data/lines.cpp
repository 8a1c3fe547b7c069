#include <heed/data/lines.h>

#include <zlib.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>

#include <heed/core/error.h>
#include <heed/data/utf8.h>

namespace heed::data {

static constexpr size_t kChunk = size_t{1} << 16;

// Bytes of the file, inflated if they are gzip: any number of members, nothing else behind them.
class LineReader::Input {
 public:
  explicit Input(const std::string& path) : name_(path) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored))
      throw IoError(str(name_, ": is a directory, a file expected"));
    file_.reset(std::fopen(name_.c_str(), "rb"));
    if (!file_) throw IoError(str(name_, ": cannot open: ", std::strerror(errno)));
    fill();
    gzip_ = have_ >= 2 && raw_[0] == 0x1f && raw_[1] == 0x8b;
    if (!gzip_ && path.ends_with(".gz"))
      throw IoError(str(name_, ": named .gz, but does not begin with the gzip bytes 1f 8b (",
                        have_ ? "offset 0" : "the file is empty", ")"));
    if (gzip_) start_member();
  }
  ~Input() {
    if (inflating_) inflateEnd(&z_);
  }

  // Appends some bytes; false at the end of the file.
  bool read(std::string& out) {
    if (!gzip_) {
      out.append(reinterpret_cast<char*>(raw_), have_);
      bool some = have_ > 0;
      if (some) fill();
      return some;
    }
    while (inflating_) {
      if (z_.avail_in == 0 && !refill())
        throw IoError(
            str(name_, ": gzip data end early, at offset ", offset(), ": the file is truncated"));
      unsigned char block[kChunk];
      z_.next_out = block;
      z_.avail_out = kChunk;
      int status = inflate(&z_, Z_NO_FLUSH);
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
        throw IoError(str(name_, ": corrupt gzip data near offset ", offset(), ": ",
                          z_.msg ? z_.msg : "zlib cannot go on"));
      out.append(reinterpret_cast<char*>(block), kChunk - z_.avail_out);
      if (status == Z_STREAM_END) next_member();
      if (z_.avail_out < kChunk) return true;
    }
    return false;
  }

 private:
  struct Close {
    void operator()(std::FILE* file) const { std::fclose(file); }
  };
  void fill() {
    read_before_ += have_;
    have_ = std::fread(raw_, 1, kChunk, file_.get());
    if (std::ferror(file_.get()))
      throw IoError(
          str(name_, ": cannot read at offset ", read_before_, ": ", std::strerror(errno)));
  }
  bool refill() {
    fill();
    z_.next_in = raw_;
    z_.avail_in = static_cast<uInt>(have_);
    return have_ > 0;
  }
  size_t offset() const { return read_before_ + have_ - z_.avail_in; }
  void start_member() {
    z_ = {};
    z_.next_in = raw_;
    z_.avail_in = static_cast<uInt>(have_);
    if (inflateInit2(&z_, 15 + 16) != Z_OK) throw IoError(str(name_, ": zlib cannot start"));
    inflating_ = true;
  }
  void next_member() {
    if (z_.avail_in == 0 && !refill()) {
      inflateEnd(&z_);
      inflating_ = false;
    } else {
      if (*z_.next_in != 0x1f)
        throw IoError(
            str(name_, ": something that is not gzip follows the gzip data, at offset ", offset()));
      inflateReset(&z_);
    }
  }

  std::string name_;
  std::unique_ptr<std::FILE, Close> file_;
  unsigned char raw_[kChunk];
  size_t have_ = 0, read_before_ = 0;
  z_stream z_ = {};
  bool gzip_ = false, inflating_ = false;
};

LineReader::LineReader(const std::string& path)
    : path_(path), input_(std::make_unique<Input>(path)) {}
LineReader::~LineReader() = default;
LineReader::LineReader(LineReader&&) noexcept = default;

bool LineReader::next(std::string& line) {
  size_t searched = position_, end;
  while ((end = buffer_.find('\n', searched)) == std::string::npos) {
    buffer_.erase(0, position_);  // what remains is one unfinished line
    position_ = 0;
    searched = buffer_.size();
    if (buffer_.size() > static_cast<size_t>(kMaxLineBytes))
      throw IoError(str(path_, ":", number_ + 1, ": line longer than ", kMaxLineBytes, " bytes"));
    if (!input_->read(buffer_)) {
      if (buffer_.empty()) return false;
      end = buffer_.size();
      break;
    }
  }
  std::string_view text(buffer_.data() + position_, end - position_);
  ++number_;
  if (text.size() > static_cast<size_t>(kMaxLineBytes))
    throw IoError(str(path_, ":", number_, ": line longer than ", kMaxLineBytes, " bytes"));
  if (text.ends_with('\r')) text.remove_suffix(1);
  if (number_ == 1 && text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (size_t bad = utf8_error(text); bad != std::string_view::npos)
    throw IoError(str(path_, ":", number_, ": invalid UTF-8 at byte ", bad + 1, " of the line"));
  line.assign(text);
  position_ = std::min(end + 1, buffer_.size());
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
