#include <heed/data/image_folder.h>

#include <cstring>
#include <exception>
#include <mutex>

#include <heed/core/error.h>
#include <heed/core/parallel.h>
#include <heed/core/xtensor.h>
#include <heed/data/folder_listing.h>
#include <heed/data/picture_file.h>
#include <heed/data/resize.h>

namespace heed::data {

Array read_fitted(const std::string& path, int64_t channels, int64_t height, int64_t width) try {
  Array picture = read_picture(path, channels);
  // Resizing starts with the rows: this is what it holds in between.
  if (height > kMostPicturePixels / picture.dim(1))
    throw IoError(str(path, ": a picture of ", picture.dim(0), " x ", picture.dim(1),
                      " pixels is too wide to be fitted to ", height, " x ", width));
  Array fitted = fit_picture(picture, height, width);
  return from_xtensor(xt::transpose(as_xtensor<uint8_t, 3>(fitted), {2, 0, 1}));
} catch (const OutOfMemoryError& error) {
  throw OutOfMemoryError(str(path, ": ", error.what()));
} catch (const std::bad_alloc&) {
  throw OutOfMemoryError(str(path, ": out of memory"));
}

namespace {
class FolderImages final : public ImageSet {
 public:
  FolderImages(FolderPart part, std::vector<std::string> class_names,
               const ImageFolderOptions& options)
      : part_(std::move(part)), class_names_(std::move(class_names)), options_(options) {}
  int64_t size() const override { return static_cast<int64_t>(part_.paths.size()); }
  const std::vector<std::string>& class_names() const override { return class_names_; }
  Shape image_shape() const override {
    return {options_.channels, options_.height, options_.width};
  }
  int64_t label(int64_t i) const override { return part_.labels[static_cast<size_t>(i)]; }
  Array image(int64_t i) const override {
    return read_fitted(part_.paths[static_cast<size_t>(i)], options_.channels, options_.height,
                       options_.width);
  }

 private:
  FolderPart part_;
  std::vector<std::string> class_names_;
  ImageFolderOptions options_;
};

// The error of the first picture that has one, whichever thread meets one first.
class FirstError {
 public:
  bool before(int64_t i) const {
    std::lock_guard lock(mutex_);
    return error_ && index_ < i;
  }
  void keep(int64_t i, std::exception_ptr error) {
    std::lock_guard lock(mutex_);
    if (error_ && index_ < i) return;
    index_ = i;
    error_ = std::move(error);
  }
  void rethrow() const {
    if (error_) std::rethrow_exception(error_);
  }

 private:
  mutable std::mutex mutex_;
  int64_t index_ = 0;
  std::exception_ptr error_;
};

ImageSetPtr read_into_memory(const ImageSet& set) {
  Shape shape = set.image_shape();
  Array images = Array::empty({set.size(), shape[0], shape[1], shape[2]}, DType::u8, kCpu);
  FirstError first_error;
  parallel_tasks(set.size(), [&](int64_t i) {
    if (first_error.before(i)) return;
    try {
      Array image = set.image(i);
      std::memcpy(images.select(0, i).raw(), image.raw(), static_cast<size_t>(image.bytes()));
    } catch (...) {
      first_error.keep(i, std::current_exception());
    }
  });
  first_error.rethrow();
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < set.size(); ++i) labels.push_back(set.label(i));
  return std::make_shared<MemoryImages>(std::move(images), std::move(labels), set.class_names());
}

void require_options(const ImageFolderOptions& o) {
  bool none = o.height == 0 && o.width == 0;
  if (!none && (o.height < 1 || o.width < 1 || o.height > kMostPicturePixels / o.width))
    throw ValueError(str("read_image_folder: a height and a width of at least 1 and at most ",
                         kMostPicturePixels, " pixels in all expected, or neither; got ", o.height,
                         " x ", o.width));
  if (o.channels != 1 && o.channels != 3)
    throw ValueError(str("read_image_folder: 1 or 3 channels expected, got ", o.channels));
  if (o.memory_limit < 0)
    throw ValueError(str("read_image_folder: memory_limit >= 0 expected, got ", o.memory_limit));
}
}  // namespace

ImageParts read_image_folder(const std::string& directory, const ImageFolderOptions& options) {
  require_options(options);
  ImageFolderOptions chosen = options;
  FolderListing listing = list_image_folder(directory);
  ImageParts out;
  out.notes = std::move(listing.notes);
  out.has_test = !listing.test.paths.empty();
  if (options.parts == ReadParts::test) listing.train = listing.validation = {};
  if (options.parts == ReadParts::training) listing.test = {};
  FolderPart* parts[] = {&listing.train, &listing.validation, &listing.test};
  int64_t count = 0;
  for (auto* part : parts) {
    count += static_cast<int64_t>(part->paths.size());
    if (chosen.height > 0 || part->paths.empty()) continue;
    Array first = read_picture(part->paths[0], chosen.channels);
    chosen.height = first.dim(0);
    chosen.width = first.dim(1);
    out.notes.push_back(str("pictures are fitted to ", chosen.height, " x ", chosen.width,
                            " pixels (height x width), the size of ", part->paths[0]));
  }
  if (count == 0) return out;
  int64_t image_bytes = chosen.channels * chosen.height * chosen.width;
  bool in_memory = image_bytes <= chosen.memory_limit / count;
  if (!in_memory)
    out.notes.push_back(str(count, " pictures of ", image_bytes, " bytes do not fit into ",
                            chosen.memory_limit,
                            " bytes of memory: each is read again whenever it is needed"));
  ImageSetPtr* sets[] = {&out.train, &out.validation, &out.test};
  for (size_t i = 0; i < std::size(parts); ++i) {
    if (parts[i]->paths.empty()) continue;
    auto set = std::make_shared<FolderImages>(std::move(*parts[i]), listing.class_names, chosen);
    *sets[i] = in_memory ? read_into_memory(*set) : set;
  }
  return out;
}

}  // namespace heed::data
