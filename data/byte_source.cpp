#include <heed/data/byte_source.h>

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <heed/core/error.h>

namespace heed::data {

static constexpr size_t kChunk = size_t{1} << 16;
static constexpr uint64_t kUnknownSize = ~uint64_t{0} / kMostInflated;  // of a pipe

bool is_there(const std::filesystem::path& path) {
  std::error_code ignored;
  return std::filesystem::symlink_status(path, ignored).type() !=
         std::filesystem::file_type::not_found;
}

void require_regular(const std::filesystem::path& path) {
  std::error_code ignored;
  auto type = std::filesystem::status(path, ignored).type();
  using std::filesystem::file_type;
  for (file_type endless :
       {file_type::fifo, file_type::character, file_type::block, file_type::socket})
    if (type == endless) throw IoError(str(path.string(), ": not a regular file"));
}

struct ByteSource::State {
  explicit State(const std::string& path) : name_(path) {
    std::error_code ignored;
    if (std::filesystem::is_directory(path, ignored))
      throw IoError(str(name_, ": is a directory, a file expected"));
    size_ = std::filesystem::file_size(path, ignored);
    if (ignored) size_ = kUnknownSize;
    file_.descriptor = ::open(name_.c_str(), O_RDONLY | O_CLOEXEC);
    if (file_.descriptor < 0) throw IoError(str(name_, ": cannot open: ", std::strerror(errno)));
    while ((have_ == 0 || (have_ == 1 && raw_[0] == 0x1f)) && fill()) continue;
    gzip_ = have_ >= 2 && raw_[0] == 0x1f && raw_[1] == 0x8b;
    if (!gzip_ && path.ends_with(".gz"))
      throw IoError(str(name_, ": named .gz, but does not begin with the gzip bytes 1f 8b (",
                        have_ ? "offset 0" : "the file is empty", ")"));
    if (gzip_) start_member();
  }
  ~State() {
    if (inflating_) inflateEnd(&z_);
  }

  bool read(std::string& out) {
    if (!gzip_) {
      if (have_ == 0 && !fill()) return false;
      out.append(reinterpret_cast<char*>(raw_), have_);
      forget();
      return true;
    }
    while (inflating_) {
      if (member_ended_ && !next_member()) break;
      if (z_.avail_in == 0 && !more_output_ && !refill())
        throw IoError(
            str(name_, ": gzip data end early, at offset ", offset(), ": the file is truncated"));
      unsigned char block[kChunk];
      z_.next_out = block;
      z_.avail_out = kChunk;
      int status = inflate(&z_, Z_NO_FLUSH);
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
        throw IoError(str(name_, ": corrupt gzip data near offset ", offset(), ": ",
                          z_.msg ? z_.msg : "zlib cannot continue"));
      out.append(reinterpret_cast<char*>(block), kChunk - z_.avail_out);
      more_output_ = z_.avail_out == 0;
      member_ended_ = status == Z_STREAM_END;
      if (z_.avail_out < kChunk) return true;
    }
    return false;
  }

  bool ready() const {
    if (ended_ || (!gzip_ && have_ > 0)) return true;
    pollfd input{.fd = file_.descriptor, .events = POLLIN, .revents = 0};
    return ::poll(&input, 1, 0) != 0;  // at the end, or with an error, read() says so at once
  }

  // Appends what there is to raw_, waiting for the first byte; false at the end of the file.
  bool fill() {
    if (ended_) return false;  // a terminal would be read on behind its end
    ssize_t count;
    do count = ::read(file_.descriptor, raw_ + have_, kChunk - have_);
    while (count < 0 && errno == EINTR);
    if (count < 0)
      throw IoError(
          str(name_, ": cannot read at offset ", read_before_ + have_, ": ", std::strerror(errno)));
    have_ += static_cast<size_t>(count);
    ended_ = count == 0;
    return !ended_;
  }
  void forget() {  // what is in raw_
    read_before_ += have_;
    have_ = 0;
  }
  bool refill() {
    forget();
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
    if (inflateInit2(&z_, 15 + 16) != Z_OK) throw IoError(str(name_, ": zlib cannot be set up"));
    inflating_ = true;
  }
  bool next_member() {  // false: that was the last one
    member_ended_ = false;
    if (z_.avail_in == 0 && !refill()) {
      inflateEnd(&z_);
      return inflating_ = false;
    }
    if (*z_.next_in != 0x1f)
      throw IoError(
          str(name_, ": the gzip data are followed by other bytes, at offset ", offset()));
    inflateReset(&z_);
    return true;
  }

  std::string name_;
  uint64_t size_ = 0;
  struct File {
    int descriptor = -1;
    ~File() {
      if (descriptor >= 0) ::close(descriptor);
    }
  } file_;
  unsigned char raw_[kChunk];
  size_t have_ = 0, read_before_ = 0;
  z_stream z_ = {};
  bool ended_ = false;  // the file
  bool gzip_ = false, inflating_ = false;
  bool more_output_ = false, member_ended_ = false;
};

ByteSource::ByteSource(const std::string& path) : state_(std::make_unique<State>(path)) {}
ByteSource::~ByteSource() = default;
bool ByteSource::read(std::string& out) { return state_->read(out); }
bool ByteSource::ready() const { return state_->ready(); }
uint64_t ByteSource::most_bytes() const {
  return state_->gzip_ ? std::min(state_->size_, kUnknownSize) * kMostInflated : state_->size_;
}

}  // namespace heed::data
