#include <heed/data/picture_decoders.h>

#include <csetjmp>
#include <cstdio>

#include <jpeglib.h>

#include <heed/core/error.h>

namespace heed::data {

namespace {
struct JpegFault {
  jpeg_error_mgr base;  // the first: libjpeg hands out its address
  std::jmp_buf way_out;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void jpeg_leave(j_common_ptr jpeg) {
  auto* fault = reinterpret_cast<JpegFault*>(jpeg->err);
  jpeg->err->format_message(jpeg, fault->message);
  std::longjmp(fault->way_out, 1);
}
// Below 0 are warnings, of data that libjpeg would make up: those are errors here.
void jpeg_message(j_common_ptr jpeg, int level) {
  if (level < 0) jpeg_leave(jpeg);
}

constexpr int kMostScans = 500;  // usual are ten; a small file of very many takes hours
void jpeg_count_scans(j_common_ptr jpeg) {
  if (!jpeg->is_decompressor) return;
  if (reinterpret_cast<j_decompress_ptr>(jpeg)->input_scan_number <= kMostScans) return;
  auto* fault = reinterpret_cast<JpegFault*>(jpeg->err);
  std::snprintf(fault->message, sizeof fault->message, "more than %d scans", kMostScans);
  std::longjmp(fault->way_out, 1);
}

class JpegReader {
 public:
  JpegReader() {
    jpeg_.err = jpeg_std_error(&fault_.base);
    fault_.base.error_exit = jpeg_leave;
    fault_.base.emit_message = jpeg_message;
    progress_.progress_monitor = jpeg_count_scans;
  }
  ~JpegReader() { jpeg_destroy_decompress(&jpeg_); }
  JpegReader(const JpegReader&) = delete;
  JpegReader& operator=(const JpegReader&) = delete;

  jpeg_decompress_struct& jpeg() { return jpeg_; }
  const char* fault() const { return fault_.message; }

  // Up to the pixels. False: fault() says why. The same for pixels().
  bool header(const unsigned char* bytes, size_t size) {
    if (setjmp(fault_.way_out)) return false;
    jpeg_create_decompress(&jpeg_);
    jpeg_.progress = &progress_;
    jpeg_mem_src(&jpeg_, bytes, size);
    jpeg_save_markers(&jpeg_, JPEG_APP0 + 1, 0xFFFF);
    jpeg_read_header(&jpeg_, TRUE);
    return true;
  }
  bool pixels(unsigned char* out, size_t row_bytes) {
    if (setjmp(fault_.way_out)) return false;
    jpeg_start_decompress(&jpeg_);
    while (jpeg_.output_scanline < jpeg_.output_height) {
      JSAMPROW row = out + jpeg_.output_scanline * row_bytes;
      jpeg_read_scanlines(&jpeg_, &row, 1);
    }
    jpeg_finish_decompress(&jpeg_);
    return true;
  }

 private:
  jpeg_decompress_struct jpeg_ = {};
  JpegFault fault_ = {};
  jpeg_progress_mgr progress_ = {};
};

// From CMYK to what; the channels of the picture in memory.
int64_t choose_colours(const std::string& name, jpeg_decompress_struct& jpeg) {
  switch (jpeg.jpeg_color_space) {
    case JCS_GRAYSCALE: jpeg.out_color_space = JCS_GRAYSCALE; return 1;
    case JCS_YCbCr:
    case JCS_RGB: jpeg.out_color_space = JCS_RGB; return 3;
    case JCS_CMYK:
    case JCS_YCCK: jpeg.out_color_space = JCS_CMYK; return 4;
    default:
      throw IoError(str(name, ": a JPEG with ", jpeg.num_components,
                        " components; grey, YCbCr, RGB, CMYK or YCCK expected"));
  }
}

// Adobe's inverted CMYK to RGB: c k / 255, rounded as PIL does by way of plain CMYK. A plain loop:
// with xtensor it takes ten times as long as decoding.
Array inverted_cmyk_to_rgb(const Array& cmyk) {
  Array rgb = Array::empty({cmyk.dim(0), cmyk.dim(1), 3}, DType::u8, kCpu);
  const uint8_t* from = cmyk.data<uint8_t>();
  uint8_t* to = rgb.data<uint8_t>();
  for (uint8_t* end = to + rgb.numel(); to != end; to += 3, from += 4)
    for (int c = 0; c < 3; ++c) {
      unsigned light = from[3], taken = (255u - from[c]) * light + 128;  // times 255
      to[c] = static_cast<uint8_t>(light - ((taken >> 8) + taken) / 256);
    }
  return rgb;
}

int orientation_of(const jpeg_decompress_struct& jpeg) {
  for (auto* marker = jpeg.marker_list; marker; marker = marker->next) {
    std::string_view content(reinterpret_cast<const char*>(marker->data), marker->data_length);
    if (content.starts_with("Exif")) return exif_orientation(content);
  }
  return 1;
}
}  // namespace

Array decode_jpeg(const std::string& name, std::string_view bytes) {
  auto refuse = [&](const char* why) {
    throw IoError(str(name, ": cannot read this JPEG: ", why));
  };
  JpegReader reader;
  if (!reader.header(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()))
    refuse(reader.fault());
  int64_t height = reader.jpeg().image_height, width = reader.jpeg().image_width;
  require_picture_size(name, height, width);
  int64_t channels = choose_colours(name, reader.jpeg());
  int orientation = orientation_of(reader.jpeg());

  Array picture = Array::empty({height, width, channels}, DType::u8, kCpu);
  if (!reader.pixels(picture.data<uint8_t>(), static_cast<size_t>(width * channels)))
    refuse(reader.fault());
  return turn_upright(channels == 4 ? inverted_cmyk_to_rgb(picture) : picture, orientation);
}

}  // namespace heed::data
