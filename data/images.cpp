#include <heed/data/images.h>

#include <zlib.h>

#include <heed/core/error.h>
#include <heed/data/write_file.h>

namespace heed::data {

namespace {
void append_big_endian(std::string& out, size_t n) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(n >> shift & 0xFF));
}

// Length, type, content, and the checksum of the last two.
void append_chunk(std::string& out, const char* type, const std::string& content) {
  append_big_endian(out, content.size());
  size_t begin = out.size();
  out.append(type).append(content);
  append_big_endian(out, crc32(0, reinterpret_cast<const Bytef*>(out.data() + begin),
                               static_cast<uInt>(out.size() - begin)));
}
}  // namespace

std::string encode_png(const Array& image) {
  if (!image.defined() || image.dtype() != DType::u8)
    throw DTypeError(str("write_png: u8 expected, got ",
                         image.defined() ? to_string(image.dtype()) : "an undefined array"));
  bool grey = image.rank() == 2;
  if (!grey && !(image.rank() == 3 && image.dim(2) == 3))
    throw ShapeError(str("write_png: [H, W] or [H, W, 3] expected, got ", image.shape()));
  int64_t height = image.dim(0), width = image.dim(1), channels = grey ? 1 : 3;
  if (height < 1 || width < 1 || height > 65535 || width > 65535)
    throw ShapeError(str("write_png: 1 to 65535 pixels on a side expected, got ", image.shape()));

  // Each row: the filter "difference to the row above" (2), good for flat areas and straight edges.
  std::string rows;
  rows.reserve(static_cast<size_t>(height * (width * channels + 1)));
  auto pixel = [&](int64_t y, int64_t x, int64_t c) {
    return static_cast<const uint8_t*>(
        image.raw())[y * image.strides()[0] + x * image.strides()[1] +
                     (grey ? 0 : c * image.strides()[2])];
  };
  for (int64_t y = 0; y < height; ++y) {
    rows.push_back(2);
    for (int64_t x = 0; x < width; ++x)
      for (int64_t c = 0; c < channels; ++c)
        rows.push_back(static_cast<char>(pixel(y, x, c) - (y ? pixel(y - 1, x, c) : 0)));
  }
  uLongf size = compressBound(rows.size());
  std::string packed(size, '\0');
  if (compress2(reinterpret_cast<Bytef*>(packed.data()), &size,
                reinterpret_cast<const Bytef*>(rows.data()), rows.size(), 6) != Z_OK)
    throw IoError("write_png: zlib cannot compress");
  packed.resize(size);

  std::string header;
  append_big_endian(header, static_cast<size_t>(width));
  append_big_endian(header, static_cast<size_t>(height));
  header.append({8, static_cast<char>(grey ? 0 : 2), 0, 0, 0});  // bits, colour type, no options
  std::string out("\x89PNG\r\n\x1a\n");
  append_chunk(out, "IHDR", header);
  append_chunk(out, "IDAT", packed);
  append_chunk(out, "IEND", "");
  return out;
}

void write_png(const std::string& path, const Array& image) { write_file(path, encode_png(image)); }

}  // namespace heed::data
