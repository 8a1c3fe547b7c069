#include <heed/data/picture_file.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include <heed/core/error.h>
#include <heed/data/byte_source.h>
#include <heed/data/hex_bytes.h>
#include <heed/data/picture_decoders.h>

namespace heed::data {

using namespace std::string_view_literals;
namespace fs = std::filesystem;

namespace {
constexpr auto kPngBegin = "\x89PNG\r\n\x1a\n"sv, kJpegBegin = "\xff\xd8\xff"sv;

struct ForeignFormat {
  size_t at;
  std::string_view bytes;
  const char* name;
};
constexpr ForeignFormat kForeign[] = {
    {0, "GIF8"sv, "GIF"},
    {0, "BM"sv, "BMP"},
    {8, "WEBP"sv, "WebP"},
    {0, "II*\0"sv, "TIFF"},
    {0, "MM\0*"sv, "TIFF"},
    {4, "ftypavif"sv, "AVIF"},
    {4, "ftyp"sv, "HEIF or a video"},
    {4, "jP  "sv, "JPEG 2000"},
    {4, "JXL "sv, "JPEG XL"},
    {0, "\xff\x0a"sv, "JPEG XL"},
    {0, "8BPS"sv, "Photoshop"},
    {0, "%PDF"sv, "PDF"},
    {0, "<svg"sv, "SVG"},
    {0, "<?xml"sv, "XML"},
    {0, "<!DOCTYPE"sv, "HTML"},
    {0, "PK\x03\x04"sv, "a zip archive"},
};

// "text that begins with "hello"", "the bytes 00 01 02", or the name of a format.
std::string describe_content(std::string_view bytes) {
  for (auto& format : kForeign)
    if (bytes.size() > format.at && bytes.substr(format.at).starts_with(format.bytes))
      return format.name;
  std::string_view begin = bytes.substr(0, 8);
  auto printable = [](unsigned char c) { return c >= 0x20 && c < 0x7f; };
  if (std::all_of(begin.begin(), begin.end(), printable))
    return str("text that begins with \"", begin, "\"");
  return str("the bytes ", hex_bytes(begin));
}

[[noreturn]] void refuse_format(const std::string& name, std::string_view bytes) {
  if (bytes.empty()) throw IoError(str(name, ": the file is empty, a PNG or JPEG expected"));
  if (kPngBegin.starts_with(bytes) || kJpegBegin.starts_with(bytes))
    throw IoError(
        str(name, ": only the first ", bytes.size(), " bytes of a picture: the file is truncated"));
  throw IoError(str(name, ": PNG or JPEG expected, got ", describe_content(bytes)));
}

bool is_known(std::string_view bytes) {
  return bytes.starts_with(kPngBegin) || bytes.starts_with(kJpegBegin);
}

// One channel to three or three to one. Plain loops: with xtensor they take longer than decoding.
Array to_channels(const Array& picture, int64_t channels) {
  if (picture.dim(2) == channels) return picture;
  Array out = Array::empty({picture.dim(0), picture.dim(1), channels}, DType::u8, kCpu);
  const uint8_t* from = picture.data<uint8_t>();
  uint8_t* to = out.data<uint8_t>();
  if (channels == 1) {
    for (int64_t i = 0; i < out.numel(); ++i, from += 3)
      to[i] = static_cast<uint8_t>(
          (19595u * from[0] + 38470u * from[1] + 7471u * from[2] + 32768u) >> 16);
  } else {
    for (int64_t i = 0; i < picture.numel(); ++i, to += 3) to[0] = to[1] = to[2] = from[i];
  }
  return out;
}

void require_channels(int64_t channels) {
  if (channels != 1 && channels != 3)
    throw ValueError(str("read_picture: 1 or 3 channels expected, got ", channels));
}
}  // namespace

void require_picture_size(const std::string& name, int64_t height, int64_t width) {
  if (height < 1 || width < 1)
    throw IoError(str(name, ": a picture of ", height, " x ", width, " pixels is empty"));
  if (height > kMostPicturePixels / width)
    throw IoError(str(name, ": a picture of ", height, " x ", width, " pixels; at most ",
                      kMostPicturePixels, " pixels can be read"));
}

Array decode_picture(const std::string& name, std::string_view bytes, int64_t channels) {
  require_channels(channels);
  if (!is_known(bytes)) refuse_format(name, bytes);
  bool png = bytes.starts_with(kPngBegin);
  return to_channels(png ? decode_png(name, bytes) : decode_jpeg(name, bytes), channels);
}

Array read_picture(const std::string& path, int64_t channels) {
  require_channels(channels);
  // Opening a pipe waits for somebody to write to it. ByteSource refuses a missing file and a
  // directory.
  std::error_code error;
  fs::file_status status = fs::status(path, error);
  if (fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status))
    throw IoError(str(path, ": not a regular file, a PNG or JPEG expected"));
  ByteSource source(path);
  std::string bytes;
  while (bytes.size() < kPngBegin.size() && source.read(bytes)) continue;
  if (!is_known(bytes)) refuse_format(path, bytes);
  auto most = static_cast<size_t>(kMostPictureBytes);
  while (bytes.size() <= most && source.read(bytes)) continue;
  if (bytes.size() > most)
    throw IoError(str(path, ": more than ", most, " bytes, the limit for a picture"));
  return decode_picture(path, bytes, channels);
}

bool is_picture_name(std::string_view path) {
  std::string_view name = path.substr(path.find_last_of('/') + 1);
  size_t dot = name.find_last_of('.');
  if (dot == std::string_view::npos || dot == 0) return false;
  std::string extension(name.substr(dot));
  for (char& c : extension) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return extension == ".png" || extension == ".jpg" || extension == ".jpeg";
}

}  // namespace heed::data
