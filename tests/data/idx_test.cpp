#include <heed/data/idx.h>

#include <sys/stat.h>

#include <filesystem>

#include <heed/core/error.h>
#include <heed/tests/data/gzip.h>
#include <heed/tests/data/random_images.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
std::string header(const std::vector<uint32_t>& sizes, int type = 8) {
  std::string out{0, 0, static_cast<char>(type), static_cast<char>(sizes.size())};
  for (uint32_t size : sizes)
    for (int shift : {24, 16, 8, 0}) out.push_back(static_cast<char>(size >> shift & 255));
  return out;
}
std::string idx(const std::vector<uint32_t>& sizes, const std::string& content) {
  return header(sizes) + content;
}
// Those of a row-major array.
std::string idx(const Array& a) {
  std::vector<uint32_t> sizes;
  for (int64_t size : a.shape()) sizes.push_back(static_cast<uint32_t>(size));
  return idx(sizes,
             {reinterpret_cast<const char*>(a.data<uint8_t>()), static_cast<size_t>(a.numel())});
}
const std::string kThreeLabels{'\0', '\1', '\0'};

// read(), with this content, throws an IoError that begins with the file's name.
template <class F>
void refuse(const std::filesystem::path& file, F read, const std::string& part) {
  CAPTURE(part);
  std::string message = message_of<IoError>(read);
  CHECK_THAT(message, StartsWith(file.string()));
  CHECK_THAT(message, ContainsSubstring(part));
}
void refuse_content(const std::string& content, const std::string& part) {
  TempDir dir;
  auto file = dir.write("file", content);
  refuse(
      file, [&] { read_idx(file.string()); }, part);
}
}  // namespace

TEST_CASE("IDX: every shape there and back, plain and gzip") {
  TempDir dir;
  for (Shape shape :
       {Shape{1}, Shape{300}, Shape{2, 3}, Shape{7, 5, 3}, Shape{70, 28, 28}, Shape{2, 3, 4, 5}}) {
    Array a = random_image(shape);
    for (const std::string& content : {idx(a), gzip(idx(a))}) {
      Array back = read_idx(dir.write("file", content).string());
      CHECK(back.dtype() == DType::u8);
      CHECK(back.shape() == shape);
      CHECK(values<uint8_t>(back) == values<uint8_t>(a));
    }
  }
}

TEST_CASE("IDX: gzip that unpacks to a thousand times its size") {
  TempDir dir;
  std::string packed = gzip(idx(Array::zeros({2000, 28, 28}, DType::u8, kCpu)));
  REQUIRE(packed.size() < 2000 * 28 * 28 / 1000);
  CHECK(read_idx(dir.write("file", packed).string()).shape() == Shape{2000, 28, 28});
}

TEST_CASE("IDX: cut at every byte, plain and gzip") {
  TempDir dir;
  std::string whole = idx(random_image({2, 3, 4})), packed = gzip(whole);
  auto file = (dir / "file").string();
  for (size_t n = 0; n < whole.size(); ++n) {
    CAPTURE(n);
    dir.write("file", whole.substr(0, n));
    REQUIRE_THAT(message_of<IoError>([&] { read_idx(file); }), StartsWith(file));
  }
  for (size_t n = 0; n < packed.size(); ++n) {
    CAPTURE(n);
    dir.write("file", packed.substr(0, n));
    REQUIRE_THAT(message_of<IoError>([&] { read_idx(file); }), StartsWith(file));
  }
}

TEST_CASE("IDX: what no such file is") {
  refuse_content("", "only 0 bytes");
  refuse_content(std::string(3, '\0'), "only 3 bytes");
  refuse_content("\x89PNG\r\n\x1a\n", "begins with 89 50 4e 47, 00 00 08 and the number of axes");
  refuse_content("These are words.", "begins with 54 68 65 73");
  refuse_content(header({3}, 9) + "abc", "element type 09, only 08");
  refuse_content(header({3}, 13) + std::string(12, 'x'), "element type 0d, only 08");
  refuse_content(std::string{0, 0, 8, 0}, "IDX with 0 axes, 1 to 4 expected");
  refuse_content(header({1, 1, 1, 1, 1}) + "x", "IDX with 5 axes");
  refuse_content(std::string("\0\0\x08\xff", 4) + "x", "IDX with 255 axes");
  refuse_content(header({2, 3}).substr(0, 10), "header ends early, at byte 10 of 12");
}

TEST_CASE("IDX: sizes that the file does not have") {
  refuse_content(header({0}), "axis 0 has size 0");
  refuse_content(header({5, 0, 3}), "axis 1 has size 0");
  refuse_content(idx({2, 3}, "12345"), "[2, 3] need 18 bytes, more than the file can hold");
  refuse_content(idx({2, 3}, "1234567"), "[2, 3] need 18 bytes, the file has more");
  refuse_content(gzip(idx({2, 3}, "12345")), "[2, 3] need 18 bytes, the file has 17");
  refuse_content(gzip(idx({2, 3}, "1234567")), "[2, 3] need 18 bytes, the file has more");
  // Promises that must not be believed: nothing is allocated for them.
  refuse_content(idx({1 << 20, 1 << 10, 1 << 8}, "abc"), "more than the file can hold");
  refuse_content(gzip(idx({1 << 20, 1 << 10, 1 << 8}, "abc")), "more than the file can hold");
  refuse_content(idx({0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, "abc"),
                 "more than any file holds");
  refuse_content(gzip(idx({0x80000000, 2, 0xffffffff}, "abc")), "more than any file holds");
}

TEST_CASE("IDX: files that cannot be read") {
  TempDir dir;
  std::string missing = (dir / "none").string(), named = (dir / "a.gz").string();
  refuse(
      missing, [&] { read_idx(missing); }, "No such file");
  refuse(
      dir.path(), [&] { read_idx(dir.path().string()); }, "is a directory");
  dir.write("a.gz", idx({1}, "x"));
  refuse(
      named, [&] { read_idx(named); }, "named .gz, but does not begin with the gzip bytes");
  std::filesystem::create_symlink("nowhere", dir / "link");
  refuse(
      dir / "link", [&] { read_idx((dir / "link").string()); }, "No such file");
  std::string corrupt = gzip(idx(random_image({400})));
  for (size_t i = 30; i < 60; ++i) corrupt[i] = static_cast<char>(~corrupt[i]);
  refuse_content(corrupt, "corrupt gzip data");
  refuse_content(gzip(idx({1}, "x")) + "more", "gzip data are followed by other bytes");
}

TEST_CASE("IDX: names in any script") {
  TempDir dir;
  for (const char* name : {"Übung.idx", "данные", "画像 一.idx", "صور", "a b\tc"}) {
    auto file = dir.write(name, idx({2}, "ab"));
    CHECK(read_idx(file.string()).shape() == Shape{2});
    dir.write(name, "no");
    refuse(
        file, [&] { read_idx(file.string()); }, "only 2 bytes");
  }
}

TEST_CASE("IDX pairs: images with their labels") {
  TempDir dir;
  Array pixels = random_image({3, 4, 5});
  std::string images = dir.write("images", idx(pixels)).string(),
              labels = dir.write("labels", gzip(idx({3}, kThreeLabels))).string();
  ImageSetPtr set = read_idx_set(images, labels);
  CHECK(set->size() == 3);
  CHECK(set->image_shape() == Shape{1, 4, 5});
  CHECK(set->class_names() == std::vector<std::string>{"0", "1"});
  CHECK(set->label(1) == 1);
  CHECK(values<uint8_t>(set->image(2)) == values<uint8_t>(pixels.select(0, 2)));
  CHECK(read_idx_set(images, labels, 10)->classes() == 10);

  refuse(
      labels, [&] { read_idx_set(images, labels, 1); },
      "label 1 of image 1 is out of range: there are 1 classes");
  refuse(
      labels, [&] { read_idx_set(labels, labels); }, "images have the shape [N, H, W]");
  refuse(
      images, [&] { read_idx_set(images, images); }, "labels have the shape [N], this file has [3");
  auto label_file = [&](const std::string& content) {
    return dir.write("others", idx({static_cast<uint32_t>(content.size())}, content)).string();
  };
  std::string others = label_file({0, 1, 0, 1});
  refuse(
      images, [&] { read_idx_set(images, others); },
      str("has 3 images, but ", others, " has 4 labels"));
  label_file({0, 2, 0});
  refuse(
      others, [&] { read_idx_set(images, others); },
      "label 2 of image 1 is out of range, or class 1 has no image");
  label_file({0, 1, '\xff'});
  refuse(
      others, [&] { read_idx_set(images, others); }, "label 255 of image 2 is out of range");
  CHECK(read_idx_set(images, others, 256)->label(2) == 255);
}

TEST_CASE("IDX folders: the standard names in each form") {
  for (const char* form : {"-idx", ".idx"})
    for (bool packed : {false, true}) {
      TempDir dir;
      auto write = [&](const std::string& name, const std::string& axes, const std::string& bytes) {
        dir.write(str(name, form, axes, "-ubyte", packed ? ".gz" : ""),
                  packed ? gzip(bytes) : bytes);
      };
      write("train-images", "3", idx(random_image({3, 4, 5})));
      write("train-labels", "1", idx({3}, kThreeLabels));
      ImageParts only = read_idx_folder(dir.path().string());
      REQUIRE(only.train);
      CHECK_FALSE(only.test);
      CHECK_FALSE(only.validation);
      write("t10k-images", "3", idx(random_image({1, 4, 5})));
      write("t10k-labels", "1", idx({1}, std::string(1, '\0')));
      ImageParts both = read_idx_folder(dir.path().string());
      REQUIRE(both.test);
      CHECK(both.train->size() == 3);
      CHECK(both.test->size() == 1);
      CHECK(both.test->classes() == 2);  // those of the training images
    }
}

TEST_CASE("IDX folders: what is missing or does not fit") {
  TempDir dir;
  std::string name = dir.path().string();
  refuse(
      name, [&] { read_idx_folder(name); }, "none of the IDX files");
  refuse(
      dir / "none", [&] { read_idx_folder((dir / "none").string()); }, "none of the IDX files");
  auto images = dir.write("t10k-images-idx3-ubyte", idx(random_image({3, 4, 5})));
  refuse(
      images, [&] { read_idx_folder(name); }, "there is no t10k-labels-idx1-ubyte[.gz] beside");
  auto labels = dir.write("t10k-labels-idx1-ubyte", idx({3}, {0, 2, 1}));
  CHECK(read_idx_folder(name).test->classes() == 3);  // without training images

  dir.write("train-images-idx3-ubyte", idx(random_image({3, 4, 5})));
  dir.write("train-labels-idx1-ubyte", idx({3}, kThreeLabels));
  refuse(
      labels, [&] { read_idx_folder(name); }, "label 2 of image 1 is out of range");
  dir.write("t10k-labels-idx1-ubyte", idx({3}, kThreeLabels));
  dir.write("t10k-images-idx3-ubyte", idx(random_image({3, 5, 4})));
  refuse(
      name, [&] { read_idx_folder(name); },
      "training images have the shape [1, 4, 5], test images [1, 5, 4]");
  // What is not to be read is not opened, but it is known to be there.
  dir.write("t10k-labels-idx1-ubyte", "broken");
  ImageParts training = read_idx_folder(name, ReadParts::training);
  CHECK((training.train && !training.test && training.has_test));
  refuse(
      labels, [&] { read_idx_folder(name); }, "not an IDX file");
  dir.write("t10k-labels-idx1-ubyte", idx({3}, {0, 1, 0}));
  dir.write("train-labels-idx1-ubyte", "broken");
  CHECK(read_idx_folder(name, ReadParts::test, 7).test->classes() == 7);
  CHECK(read_idx_folder(name, ReadParts::test).test->classes() == 2);
  dir.write("train-labels-idx1-ubyte", idx({3}, kThreeLabels));
  // A pipe in the place of a file might never end.
  std::filesystem::remove(labels);
  REQUIRE(mkfifo(labels.c_str(), 0600) == 0);
  refuse(
      labels, [&] { read_idx_folder(name, ReadParts::training); }, "not a regular file");
  std::filesystem::remove(labels);
  dir.write("t10k-labels-idx1-ubyte", idx({3}, {0, 1, 0}));
  // A broken link is not a missing file.
  std::filesystem::remove(images);
  std::filesystem::create_symlink("nowhere", images);
  refuse(
      images, [&] { read_idx_folder(name); }, "No such file");
}
