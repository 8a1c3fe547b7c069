#include "source.h"

#include <algorithm>
#include <filesystem>

#include <heed/core/error.h>
#include <heed/data/cifar.h>
#include <heed/data/clips.h>
#include <heed/data/idx.h>
#include <heed/data/image_folder.h>
#include <heed/data/shapes.h>

#include "../common/program.h"

namespace heed::examples {

namespace {
namespace fs = std::filesystem;

bool is_there(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// Commas stand between files, and may be in a name: a part that names nothing is read on. Where
// nothing is there, the first part is the one to be missed.
size_t end_of_file(const std::string& data, size_t begin) {
  for (size_t end = begin; end < data.size(); ++end) {
    end = std::min(data.find(',', end), data.size());
    if (is_there(data.substr(begin, end - begin))) return end;
  }
  return std::min(data.find(',', begin), data.size());
}

std::vector<std::string> files_of(const std::string& data) {
  if (is_there(data)) return {data};
  std::vector<std::string> files;
  for (size_t begin = 0; begin <= data.size();) {
    size_t end = end_of_file(data, begin);
    files.push_back(data.substr(begin, end - begin));
    begin = end + 1;
  }
  return files;
}

bool any_file(const fs::path& directory, auto&& good) {
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error))
    if (good(entry.path().filename().string())) return true;
  return false;
}

// What the files look like.
std::string format_of(const std::string& data) {
  std::string first = files_of(data)[0];
  if (!is_there(first)) throw IoError(str("--data ", first, ": no such file or directory"));
  if (!fs::is_directory(data)) return first.ends_with(".bin") ? "cifar" : "idx";
  auto idx = [](const std::string& name) { return name.find("idx3-ubyte") != std::string::npos; };
  auto cifar = [](const std::string& name) {
    return name == "cifar-10-batches-bin" || name == "test_batch.bin" ||
           name.starts_with("data_batch_");
  };
  if (any_file(data, idx)) return "idx";
  return any_file(data, cifar) ? "cifar" : "folder";
}

template <class Images, class Options>
data::ImageParts generated(const DataSettings& s, uint64_t seed, const data::ImageInfo* known) {
  auto part = [&](data::ImagePart which, int64_t count) {
    Options options{.count = count, .seed = seed, .part = which};
    if (s.size > 0) options.size = s.size;
    if (known) options.size = known->width();
    return std::make_shared<const Images>(options);
  };
  int64_t less = std::max<int64_t>(s.count / 10, 4);
  data::ImageParts parts;
  parts.train = part(data::ImagePart::train, s.count);
  parts.validation = part(data::ImagePart::validation, s.valid > 0 ? s.valid : less);
  parts.test = part(data::ImagePart::test, less);
  parts.has_test = true;
  return parts;
}

// `known`: what the model expects; null for one that is still to be made.
data::ImageParts read(const DataSettings& s, const std::string& format,
                      const data::ImageInfo* known, data::ReadParts which) {
  if (format == "folder") {
    data::ImageFolderOptions options;
    options.height = options.width = s.size;
    if (s.channels > 0) options.channels = s.channels;
    if (known) {
      options.height = known->height(), options.width = known->width();
      options.channels = known->channels();
    }
    options.parts = which;
    if (s.most_bytes > 0) options.memory_limit = std::min(options.memory_limit, s.most_bytes);
    return data::read_image_folder(s.data, options);
  }
  if (s.size > 0 || s.channels > 0)
    throw ValueError(str("--size and --channels: ", format, " files have sizes of their own"));
  int64_t classes = known ? static_cast<int64_t>(known->class_names.size()) : 0;
  if (fs::is_directory(s.data))
    return format == "idx" ? data::read_idx_folder(s.data, which, classes)
                           : data::read_cifar_folder(s.data, which);
  std::vector<std::string> files = files_of(s.data);
  data::ImageParts parts;
  if (format == "cifar") {
    parts.train = data::read_cifar_files(files);
  } else {
    if (files.size() != 2)
      throw ValueError(str("--data ", s.data,
                           ": a directory, or a file of images and one of labels "
                           "with a comma between them, expected for idx"));
    parts.train = data::read_idx_set(files[0], files[1], classes);
  }
  return parts;
}

// The parts that there are, and the test pictures taken out of the others where that is asked for.
data::ImageParts all_parts(const DataSettings& s, uint64_t seed, const data::ImageInfo* known,
                           data::ReadParts which) {
  std::string format = s.data_format;
  if (format.empty()) format = s.data.empty() ? "shapes" : format_of(s.data);
  if (format == "shapes") return generated<data::ShapeImages, data::ShapeOptions>(s, seed, known);
  if (format == "clips") return generated<data::ClipImages, data::ClipOptions>(s, seed, known);
  if (s.test_every == 0) return read(s, format, known, which);
  data::ImageParts parts = read(s, format, known, data::ReadParts::all);
  // MNIST's test files alone may serve as the whole.
  if (!parts.train) std::swap(parts.train, parts.test);
  if (parts.test)
    throw ValueError(str("--test-every ", s.test_every, ": ", s.data, " has test pictures"));
  if (s.test_every > parts.train->size())
    throw ValueError(str("--test-every ", s.test_every, ": at most the ", parts.train->size(),
                         " pictures of ", s.data, " expected"));
  data::ImageSplit split = data::split_every(*parts.train, s.test_every);
  parts.test = data::subset(parts.train, split.held_out);
  parts.has_test = true;
  parts.train = data::subset(parts.train, split.rest);
  return parts;
}
}  // namespace

data::ImageParts open_images(const DataSettings& s, uint64_t seed, const data::ImageInfo* known) {
  data::ImageParts parts = all_parts(s, seed, known, data::ReadParts::training);
  if (!parts.train)
    throw ValueError(
        str("--data ", s.data, ": no training pictures there",
            parts.has_test ? ", only test pictures, which --test-every N divides" : ""));
  if (parts.train->classes() < 2)
    throw ValueError(str("--data ", s.data, ": at least 2 classes expected"));
  if (parts.validation) {
    if (s.valid > 0 && !s.data.empty())
      throw ValueError(str("--valid ", s.valid, ": ", s.data, " has validation pictures"));
    return parts;
  }
  int64_t held_out = s.valid > 0 ? s.valid : std::max<int64_t>(parts.train->size() / 10, 1);
  if (held_out >= parts.train->size())
    throw ValueError(str("--valid ", held_out, ": fewer than the ", parts.train->size(),
                         " training pictures expected"));
  data::ImageSplit split = data::split_by_class(*parts.train, held_out, seed);
  parts.validation = data::subset(parts.train, split.held_out);
  parts.train = data::subset(parts.train, split.rest);
  return parts;
}

data::ImageSetPtr open_test_images(const DataSettings& s, uint64_t seed,
                                   const data::ImageInfo& info, bool trained_on) {
  data::ImageParts parts = all_parts(s, seed, &info, data::ReadParts::test);
  if (parts.test) return parts.test;
  if (!trained_on && !fs::is_directory(s.data)) return parts.train;
  bool folder = (s.data_format.empty() ? format_of(s.data) : s.data_format) == "folder";
  throw ValueError(str("--data ", s.data, ": no test pictures there",
                       folder ? ", which would be test/CLASS/*.png" : "",
                       trained_on ? "; name others with --data, or train with --test-every" : ""));
}

void require_same_kind(const data::ImageInfo& info, const data::ImageSet& set,
                       const DataSettings& s, const std::string& model) {
  try {
    data::require_same_kind(info, set);
  } catch (const Error& error) {
    throw ValueError(str(s.data.empty() ? "--data-format " + s.data_format : "--data " + s.data,
                         ": ", error.what(), " (of ", model, ")"));
  }
}

std::string describe(const data::ImageParts& parts) {
  return str(counted(parts.train->size(), "picture"), " to learn from, ", parts.validation->size(),
             " for validation; ", counted(parts.train->classes(), "class", "classes"), ", shape ",
             parts.train->image_shape());
}

}  // namespace heed::examples
