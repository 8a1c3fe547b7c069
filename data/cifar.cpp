#include <heed/data/cifar.h>

#include <cstring>
#include <filesystem>

#include <heed/core/error.h>
#include <heed/data/byte_source.h>
#include <heed/data/lines.h>

namespace heed::data {

namespace {
namespace fs = std::filesystem;

constexpr size_t kPixels = 3 * 32 * 32, kRecord = 1 + kPixels;
constexpr size_t kMostBytes = size_t{1} << 30;
constexpr int64_t kClasses = 10;

std::string read_records(const std::string& path) {
  ByteSource source(path);
  std::string bytes;
  while (source.read(bytes))
    if (bytes.size() > kMostBytes)
      throw IoError(str(path, ": more than ", kMostBytes, " bytes; a CIFAR-10 file has 30730000"));
  if (bytes.empty()) throw IoError(str(path, ": the file is empty, CIFAR-10 images expected"));
  if (bytes.size() % kRecord != 0)
    throw IoError(str(path, ": ", bytes.size(),
                      " bytes are not a whole number of CIFAR-10 images of ", kRecord, " bytes; ",
                      bytes.size() % kRecord, " are left over"));
  for (size_t at = 0; at < bytes.size(); at += kRecord)
    if (auto label = static_cast<unsigned char>(bytes[at]); label >= kClasses)
      throw IoError(str(path, ": label ", label, " of image ", at / kRecord, ", at byte ", at,
                        ", is out of range; CIFAR-10 has the labels 0 to 9"));
  return bytes;
}

std::vector<std::string> class_names_beside(const std::string& file) {
  std::string path = (fs::path(file).parent_path() / "batches.meta.txt").string();
  std::vector<std::string> names;
  if (!is_there(path)) {
    for (int64_t c = 0; c < kClasses; ++c) names.push_back(str(c));
    return names;
  }
  names = read_lines(path);
  while (!names.empty() && names.back().empty()) names.pop_back();
  if (names.size() != kClasses)
    throw IoError(str(path, ": ", kClasses, " class names expected, got ", names.size()));
  for (size_t i = 0; i < names.size(); ++i)
    if (names[i].empty())
      throw IoError(str(path, ":", i + 1, ": a class name expected, got an empty line"));
  return names;
}

// Those that are there; IoError for some but not all.
std::vector<std::string> all_or_none(const fs::path& directory,
                                     const std::vector<std::string>& names) {
  std::vector<std::string> paths, missing;
  for (auto& name : names)
    (is_there(directory / name) ? paths : missing).push_back((directory / name).string());
  if (!paths.empty() && !missing.empty())
    throw IoError(str(missing[0], ": no such file, although there is ", paths[0], ": ",
                      missing.size(),
                      missing.size() == 1 ? " batch is missing" : " batches are missing"));
  return paths;
}

const std::vector<std::string> kTrainFiles = {"data_batch_1.bin", "data_batch_2.bin",
                                              "data_batch_3.bin", "data_batch_4.bin",
                                              "data_batch_5.bin"};
const std::vector<std::string> kTestFiles = {"test_batch.bin"};
}  // namespace

ImageSetPtr read_cifar_files(const std::vector<std::string>& paths) {
  if (paths.empty()) throw ValueError("read_cifar_files: at least one file expected");
  std::vector<std::string> files;
  size_t images = 0;
  for (auto& path : paths) {
    files.push_back(read_records(path));
    images += files.back().size() / kRecord;
  }
  Array pixels = Array::empty({static_cast<int64_t>(images), 3, 32, 32}, DType::u8, kCpu);
  std::vector<int64_t> labels;
  for (auto& bytes : files)
    for (size_t at = 0; at < bytes.size(); at += kRecord) {
      std::memcpy(pixels.data<uint8_t>() + labels.size() * kPixels, bytes.data() + at + 1, kPixels);
      labels.push_back(static_cast<unsigned char>(bytes[at]));
    }
  return std::make_shared<MemoryImages>(std::move(pixels), std::move(labels),
                                        class_names_beside(paths[0]));
}

ImageParts read_cifar_folder(const std::string& directory, ReadParts which) {
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored))
    throw IoError(str(directory, ": not a directory, the folder of the CIFAR-10 files expected"));
  fs::path place = directory;
  auto train = all_or_none(place, kTrainFiles), test = all_or_none(place, kTestFiles);
  if (train.empty() && test.empty()) {
    place /= "cifar-10-batches-bin";
    train = all_or_none(place, kTrainFiles);
    test = all_or_none(place, kTestFiles);
  }
  if (train.empty() && test.empty()) {
    bool python = is_there(fs::path(directory) / "data_batch_1") ||
                  is_there(fs::path(directory) / "cifar-10-batches-py");
    throw IoError(str(directory,
                      ": none of the CIFAR-10 files data_batch_1.bin to data_batch_5.bin and "
                      "test_batch.bin is here",
                      python ? "; this is the Python version, heed reads the binary version "
                               "(cifar-10-binary.tar.gz)"
                             : ""));
  }
  ImageParts parts;
  parts.has_test = !test.empty();
  for (const auto& files : {train, test})
    for (const std::string& file : files) require_regular(file);
  if (!train.empty() && which != ReadParts::test) parts.train = read_cifar_files(train);
  if (!test.empty() && which != ReadParts::training) parts.test = read_cifar_files(test);
  for (auto* missing : {train.empty() ? "training" : nullptr, test.empty() ? "test" : nullptr})
    if (missing) parts.notes.push_back(str(place.string(), ": no ", missing, " images here"));
  return parts;
}

}  // namespace heed::data
