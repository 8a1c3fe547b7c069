#include <heed/data/idx.h>

#include <algorithm>
#include <filesystem>
#include <optional>

#include <heed/core/error.h>
#include <heed/data/byte_source.h>
#include <heed/data/hex_bytes.h>

namespace heed::data {

namespace {
constexpr int64_t kMostPixels = int64_t{1} << 40;

// The sizes; the header is the first 4 + 4 D bytes.
Shape parse_idx_header(const std::string& path, const std::string& bytes) {
  std::string magic = bytes.substr(0, 4);
  if (magic.size() < 4)
    throw IoError(str(path, ": not an IDX file: it has only ", bytes.size(), " bytes"));
  if (magic[0] != 0 || magic[1] != 0)
    throw IoError(str(path, ": not an IDX file: it begins with ", hex_bytes(magic),
                      ", 00 00 08 and the number of axes expected"));
  if (magic[2] != 8)
    throw IoError(str(path, ": IDX element type ", hex_bytes(magic.substr(2, 1)),
                      ", only 08 (unsigned bytes) can be read"));
  int axes = static_cast<unsigned char>(magic[3]);
  if (axes < 1 || axes > 4) throw IoError(str(path, ": IDX with ", axes, " axes, 1 to 4 expected"));
  if (bytes.size() < static_cast<size_t>(4 + 4 * axes))
    throw IoError(str(path, ": the IDX header ends early, at byte ", bytes.size(), " of ",
                      4 + 4 * axes, ": the file is truncated"));
  Shape shape;
  int64_t count = 1;
  for (int axis = 0; axis < axes; ++axis) {
    int64_t size = 0;
    for (int i = 0; i < 4; ++i)
      size = size << 8 | static_cast<unsigned char>(bytes[static_cast<size_t>(4 + 4 * axis + i)]);
    if (size == 0) throw IoError(str(path, ": IDX axis ", axis, " has size 0"));
    shape.push_back(size);
    if (size > kMostPixels / count)
      throw IoError(
          str(path, ": IDX sizes that begin with ", shape, " are more than any file holds"));
    count *= size;
  }
  return shape;
}
}  // namespace

Array read_idx(const std::string& path) {
  ByteSource source(path);
  std::string bytes;
  constexpr size_t kLongestHeader = 4 + 4 * 4;
  while (bytes.size() < kLongestHeader && source.read(bytes)) continue;
  Shape shape = parse_idx_header(path, bytes);
  size_t header = static_cast<size_t>(4 + 4 * shape.rank());
  size_t expected = header + static_cast<size_t>(shape.numel());
  if (expected > source.most_bytes())
    throw IoError(str(path, ": IDX sizes ", shape, " need ", expected,
                      " bytes, more than the file can hold: it is truncated or corrupt"));
  while (bytes.size() <= expected && source.read(bytes)) continue;
  if (bytes.size() != expected)
    throw IoError(str(path, ": IDX sizes ", shape, " need ", expected, " bytes, the file has ",
                      bytes.size() > expected ? "more" : str(bytes.size())));
  return Array::from(reinterpret_cast<const uint8_t*>(bytes.data() + header), shape);
}

namespace {
// Of a file of labels. With `classes` 0 they decide how many there are.
std::vector<int64_t> read_idx_labels(const std::string& path, int64_t& classes) {
  Array bytes = read_idx(path);
  if (bytes.rank() != 1)
    throw IoError(str(path, ": labels have the shape [N], this file has ", bytes.shape()));
  std::vector<int64_t> labels(bytes.data<uint8_t>(), bytes.data<uint8_t>() + bytes.numel());
  auto largest = std::max_element(labels.begin(), labels.end());
  if (classes > 0 && *largest >= classes)
    throw IoError(str(path, ": label ", *largest, " of image ", largest - labels.begin(),
                      " is out of range: there are ", classes, " classes"));
  if (classes == 0) {
    classes = *largest + 1;
    for (int64_t c = 0; c < classes; ++c)
      if (std::find(labels.begin(), labels.end(), c) == labels.end())
        throw IoError(str(path, ": label ", *largest, " of image ", largest - labels.begin(),
                          " is out of range, or class ", c, " has no images"));
  }
  return labels;
}

// The file of that name in one of its forms; where none is there, nothing.
std::optional<std::string> find_idx(const std::filesystem::path& directory, std::string name) {
  std::string dotted = name;
  dotted[dotted.find("-idx")] = '.';
  for (const std::string& form : {name, name + ".gz", dotted, dotted + ".gz"})
    if (is_there(directory / form)) {
      require_regular(directory / form);
      return (directory / form).string();
    }
  return std::nullopt;
}

struct IdxFiles {
  std::string images, labels;
  ImageSetPtr read(int64_t classes) const { return read_idx_set(images, labels, classes); }
};
std::optional<IdxFiles> find_idx_files(const std::string& directory, const std::string& stem) {
  auto images = find_idx(directory, stem + "-images-idx3-ubyte");
  auto labels = find_idx(directory, stem + "-labels-idx1-ubyte");
  if (!images && !labels) return std::nullopt;
  if (!images || !labels)
    throw IoError(str(images ? *images : *labels, ": there is no ", stem,
                      images ? "-labels-idx1-ubyte" : "-images-idx3-ubyte", "[.gz] beside it"));
  return IdxFiles{*images, *labels};
}
}  // namespace

ImageSetPtr read_idx_set(const std::string& images, const std::string& labels, int64_t classes) {
  std::vector<int64_t> numbers = read_idx_labels(labels, classes);
  Array pixels = read_idx(images);
  if (pixels.rank() != 3)
    throw IoError(str(images, ": images have the shape [N, H, W], this file has ", pixels.shape()));
  if (pixels.dim(0) != static_cast<int64_t>(numbers.size()))
    throw IoError(str(images, " has ", pixels.dim(0), " images, but ", labels, " has ",
                      numbers.size(), " labels"));
  std::vector<std::string> names;
  for (int64_t c = 0; c < classes; ++c) names.push_back(str(c));
  return std::make_shared<MemoryImages>(pixels.unsqueeze(1), std::move(numbers), std::move(names));
}

ImageParts read_idx_folder(const std::string& directory, ReadParts which, int64_t classes) {
  auto train = find_idx_files(directory, "train"), test = find_idx_files(directory, "t10k");
  ImageParts parts;
  parts.has_test = test.has_value();
  if (train && which != ReadParts::test) parts.train = train->read(classes);
  if (classes == 0 && parts.train) classes = parts.train->classes();
  if (test && which != ReadParts::training) parts.test = test->read(classes);
  if (!train && !test)
    throw IoError(str(directory,
                      ": none of the IDX files train-images-idx3-ubyte[.gz] and "
                      "t10k-images-idx3-ubyte[.gz] is here"));
  if (parts.train && parts.test && parts.train->image_shape() != parts.test->image_shape())
    throw IoError(str(directory, ": training images have the shape ", parts.train->image_shape(),
                      ", test images ", parts.test->image_shape()));
  return parts;
}

}  // namespace heed::data
