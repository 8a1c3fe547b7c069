#include <heed/data/picture_decoders.h>

#include <png.h>

#include <csetjmp>
#include <cstdio>
#include <cstring>
#include <span>

#include <heed/core/error.h>
#include <heed/data/byte_source.h>

namespace heed::data {

namespace {
// What the callbacks of libpng see.
struct PngInput {
  const char* next;
  size_t left;
  char fault[160];
};

[[noreturn]] void png_fault(png_structp png, png_const_charp message) {
  auto* input = static_cast<PngInput*>(png_get_error_ptr(png));
  std::snprintf(input->fault, sizeof input->fault, "%s", message);
  png_longjmp(png, 1);
}
// What concerns the pixels is an error (png_set_benign_errors below).
void png_no_warning(png_structp, png_const_charp) {}

void png_take(png_structp png, png_bytep out, size_t count) {
  auto* input = static_cast<PngInput*>(png_get_io_ptr(png));
  if (count > input->left) png_error(png, "the file is truncated");
  std::memcpy(out, input->next, count);
  input->next += count;
  input->left -= count;
}

class PngReader {
 public:
  PngReader(const std::string& name, std::string_view bytes)
      : input_{bytes.data(), bytes.size(), {}},
        png_(png_create_read_struct(PNG_LIBPNG_VER_STRING, &input_, png_fault, png_no_warning)),
        info_(png_ ? png_create_info_struct(png_) : nullptr) {
    if (!info_) {
      png_destroy_read_struct(&png_, nullptr, nullptr);
      throw IoError(str(name, ": libpng cannot be set up"));
    }
    png_set_read_fn(png_, &input_, png_take);
  }
  ~PngReader() { png_destroy_read_struct(&png_, &info_, nullptr); }
  PngReader(const PngReader&) = delete;
  PngReader& operator=(const PngReader&) = delete;

  const char* fault() const { return input_.fault; }

  // Up to the pixels. False: fault() says why. The same for pixels().
  bool header() {
    if (setjmp(png_jmpbuf(png_))) return false;
    png_set_user_limits(png_, PNG_UINT_31_MAX, PNG_UINT_31_MAX);  // the caller has looked
    png_set_benign_errors(png_, 0);
    png_set_crc_action(png_, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    // Of all chunks but those of the pixels only the checksum is looked at.
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER, nullptr, -1);
    png_set_keep_unknown_chunks(png_, PNG_HANDLE_CHUNK_NEVER,
                                reinterpret_cast<png_const_bytep>("tRNS"), 1);
    png_read_info(png_, info_);
    return true;
  }
  // Bytes that the pixels take in the file before they are compressed, filter bytes apart.
  uint64_t raw_bytes() const {
    return uint64_t{png_get_rowbytes(png_, info_)} * png_get_image_height(png_, info_);
  }
  bool palette() const { return png_get_color_type(png_, info_) == PNG_COLOR_TYPE_PALETTE; }
  // Of the pixels as they are read: one for the indices of a palette.
  int64_t channels() const {
    return !palette() && png_get_color_type(png_, info_) & PNG_COLOR_MASK_COLOR ? 3 : 1;
  }
  std::span<const png_color> colours() const {
    png_colorp colours = nullptr;
    int count = 0;
    png_get_PLTE(png_, info_, &colours, &count);
    return {colours, static_cast<size_t>(count)};
  }
  // Rows of row_bytes, one behind the other.
  bool pixels(png_bytep to, size_t row_bytes) {
    if (setjmp(png_jmpbuf(png_))) return false;
    if (palette()) png_set_packing(png_);
    if (png_get_color_type(png_, info_) == PNG_COLOR_TYPE_GRAY)
      png_set_expand_gray_1_2_4_to_8(png_);
    png_set_strip_16(png_);
    png_set_strip_alpha(png_);
    int passes = png_set_interlace_handling(png_);
    png_read_update_info(png_, info_);
    if (png_get_rowbytes(png_, info_) != row_bytes) png_error(png_, "rows of unexpected length");
    png_uint_32 height = png_get_image_height(png_, info_);
    for (int pass = 0; pass < passes; ++pass)
      for (png_uint_32 y = 0; y < height; ++y) png_read_row(png_, to + y * row_bytes, nullptr);
    png_read_end(png_, nullptr);
    return true;
  }

 private:
  PngInput input_;
  png_structp png_;
  png_infop info_;
};

// libpng would make up a colour for an index that has none.
Array look_up(const std::string& name, const Array& indices, std::span<const png_color> colours) {
  Array out = Array::empty({indices.dim(0), indices.dim(1), 3}, DType::u8, kCpu);
  uint8_t* to = out.data<uint8_t>();
  const uint8_t* from = indices.data<uint8_t>();
  for (int64_t i = 0; i < indices.numel(); ++i, to += 3) {
    if (from[i] >= colours.size())
      throw IoError(str(name, ": cannot read this PNG: palette index ", from[i], " in row ",
                        i / indices.dim(1), " is out of range: the palette has ", colours.size(),
                        " colours"));
    const png_color& colour = colours[from[i]];
    to[0] = colour.red;
    to[1] = colour.green;
    to[2] = colour.blue;
  }
  return out;
}

int64_t big_endian_size(std::string_view bytes, size_t at) {
  int64_t size = 0;
  for (char c : bytes.substr(at, 4)) size = size << 8 | static_cast<unsigned char>(c);
  return size;
}
}  // namespace

Array decode_png(const std::string& name, std::string_view bytes) {
  // The sizes come first: signature (8 bytes), length and name of the chunk IHDR (8), then these.
  constexpr size_t kSizesAt = 16;
  auto refuse = [&](const char* why) { throw IoError(str(name, ": cannot read this PNG: ", why)); };
  if (bytes.size() < kSizesAt + 8) refuse("the file is truncated");
  if (bytes.substr(12, 4) != "IHDR") refuse("it does not begin with an IHDR chunk");
  int64_t width = big_endian_size(bytes, kSizesAt), height = big_endian_size(bytes, kSizesAt + 4);
  require_picture_size(name, height, width);

  PngReader reader(name, bytes);
  if (!reader.header()) refuse(reader.fault());
  if (reader.raw_bytes() > bytes.size() * kMostInflated)
    throw IoError(str(name, ": a PNG of ", height, " x ", width, " pixels cannot fit in ",
                      bytes.size(), " bytes: the file is truncated or corrupt"));
  Array picture = Array::empty({height, width, reader.channels()}, DType::u8, kCpu);
  size_t row_bytes = static_cast<size_t>(width * reader.channels());
  if (!reader.pixels(picture.data<uint8_t>(), row_bytes)) refuse(reader.fault());
  return reader.palette() ? look_up(name, picture, reader.colours()) : picture;
}

}  // namespace heed::data
