#include <heed/data/image_folder.h>

#include <sys/stat.h>

#include <heed/core/error.h>
#include <heed/data/images.h>
#include <heed/data/picture_file.h>
#include <heed/data/resize.h>
#include <heed/tests/data/picture_bytes.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Names = std::vector<std::string>;

namespace {
// A folder for one test; pictures of one colour, whose red is `value`.
struct Pictures : TempDir {
  void add(const std::string& name, int value, int64_t height = 4, int64_t width = 6) {
    std::filesystem::create_directories((*this / name).parent_path());
    Array picture = Array::zeros({height, width, 3}, DType::u8, kCpu);
    for (int64_t i = 0; i < height * width; ++i)
      picture.data<uint8_t>()[3 * i] = static_cast<uint8_t>(value);
    write_png(*this / name, picture);
  }
  void add_two_classes(const std::string& part = "") {
    add(part + "cat/1.png", 10);
    add(part + "dog/1.png", 20);
  }
  ImageParts read(const ImageFolderOptions& options = {}) const {
    return read_image_folder(path().string(), options);
  }
  std::string says(const ImageFolderOptions& options = {}) const {
    return message_of<IoError>([&] { read(options); });
  }
};
// Label and red of every image.
std::vector<std::pair<int64_t, int>> content(const ImageSet& set) {
  std::vector<std::pair<int64_t, int>> out;
  for (int64_t i = 0; i < set.size(); ++i) {
    Array image = set.image(i);
    REQUIRE(image.shape() == set.image_shape());
    REQUIRE(image.is_contiguous());
    out.push_back({set.label(i), image.data<uint8_t>()[0]});
  }
  return out;
}
using Content = std::vector<std::pair<int64_t, int>>;
}  // namespace

TEST_CASE("picture folders: class folders alone are for training") {
  Pictures dir;
  dir.add("dog/b.png", 1);
  dir.add("dog/a.PNG", 2);
  dir.add("Zebra/z.png", 3);
  dir.add("cat/10.png", 4);
  dir.add("cat/9.png", 5);
  dir.write("cat/8.JPeG", golden_picture("baseline_444.jpg"));
  for (int64_t limit : {int64_t{1} << 30, int64_t{0}}) {
    ImageParts parts = dir.read({.height = 4, .width = 6, .memory_limit = limit});
    CHECK(parts.validation == nullptr);
    CHECK(parts.test == nullptr);
    CHECK(parts.train->class_names() == Names{"Zebra", "cat", "dog"});  // by bytes
    CHECK(parts.train->image_shape() == Shape{3, 4, 6});
    Content all = content(*parts.train);
    REQUIRE(all.size() == 6);
    CHECK(all[0] == std::pair<int64_t, int>{0, 3});
    CHECK(all[1] == std::pair<int64_t, int>{1, 4});
    CHECK(all[3] == std::pair<int64_t, int>{1, 5});
    CHECK(Content(all.begin() + 4, all.end()) == Content{{2, 2}, {2, 1}});
  }
}

TEST_CASE("picture folders: parts share the classes of train") {
  for (const char* validation : {"val", "valid", "validation"}) {
    Pictures dir;
    dir.add_two_classes("train/");
    dir.add(std::string(validation) + "/dog/1.png", 30);
    dir.add("test/cat/1.png", 40);
    dir.add("test/cat/2.png", 41);
    ImageParts parts = dir.read({.height = 2, .width = 2});
    CHECK(content(*parts.train) == Content{{0, 10}, {1, 20}});
    CHECK(content(*parts.validation) == Content{{1, 30}});
    CHECK(content(*parts.test) == Content{{0, 40}, {0, 41}});
    CHECK(parts.test->class_names() == Names{"cat", "dog"});
    CHECK(parts.notes.empty());
  }
  Pictures dir;  // without train: the classes of all that is there
  dir.add("test/cat/1.png", 1);
  dir.add("val/ant/1.png", 2);
  ImageParts parts = dir.read({.height = 2, .width = 2});
  CHECK(parts.train == nullptr);
  CHECK(parts.test->class_names() == Names{"ant", "cat"});
  CHECK(content(*parts.test) == Content{{1, 1}});
}

TEST_CASE("picture folders: a class may be called as a part is") {
  Pictures dir;
  dir.add("bus/1.png", 1);
  dir.add("train/1.png", 2);
  ImageParts parts = dir.read({.height = 2, .width = 2});
  CHECK(parts.train->class_names() == Names{"bus", "train"});
  CHECK(parts.test == nullptr);
}

TEST_CASE("picture folders: fitted, in memory and not, in colour and in grey") {
  Pictures dir;
  dir.add_two_classes();
  dir.write("cat/2.jpg", golden_picture("orientation_6.jpg"));  // upright 12 x 9
  for (int64_t channels : {1, 3})
    for (int64_t limit : {int64_t{1} << 30, int64_t{3} * 5 * 7 * channels - 1}) {
      ImageParts parts =
          dir.read({.height = 5, .width = 7, .channels = channels, .memory_limit = limit});
      CHECK(parts.notes.size() == (limit < 1000 ? 1 : 0));
      Array picture = read_picture(dir / "cat" / "2.jpg", channels);
      REQUIRE(picture.shape() == Shape{12, 9, channels});
      Array expected = fit_picture(picture, 5, 7), image = parts.train->image(1);
      REQUIRE(image.shape() == Shape{channels, 5, 7});
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t y = 0; y < 5; ++y)
          for (int64_t x = 0; x < 7; ++x)
            CHECK(image.data<uint8_t>()[(c * 5 + y) * 7 + x] ==
                  expected.data<uint8_t>()[y * expected.strides()[0] + x * channels + c]);
    }
}

TEST_CASE("picture folders: the size of the first picture, with a note") {
  Pictures dir;
  dir.add("cat/1.png", 10, 9, 5);
  dir.add("dog/1.png", 20);
  ImageParts parts = dir.read();
  CHECK(parts.train->image_shape() == Shape{3, 9, 5});
  REQUIRE(parts.notes.size() == 1);
  CHECK_THAT(parts.notes[0], ContainsSubstring("fitted to 9 x 5 pixels"));
  CHECK_THAT(parts.notes[0], ContainsSubstring("cat/1.png"));
}

TEST_CASE("picture folders: what is skipped is said, but not of hidden entries") {
  Pictures dir;
  dir.add_two_classes("train/");
  dir.add("train/cat/deeper/1.png", 1);
  dir.write("train/cat/Thumbs.db", "x");
  dir.write("train/cat/.DS_Store", "x");
  dir.write("train/.hidden.png", "x");
  dir.write("train/dog/notes.txt", "x");
  dir.write("train/loose.png", "x");
  std::filesystem::create_directory(dir / ".git");
  std::filesystem::create_directory(dir / "annotations");
  ImageParts parts = dir.read({.height = 2, .width = 2});
  CHECK(parts.train->size() == 2);
  REQUIRE(parts.notes.size() == 4);
  CHECK_THAT(parts.notes[0], ContainsSubstring("annotations skipped"));
  CHECK_THAT(parts.notes[1], ContainsSubstring("1 file skipped, outside the class folders ("));
  CHECK_THAT(parts.notes[1], ContainsSubstring("train/loose.png)"));
  CHECK_THAT(parts.notes[2], ContainsSubstring("2 files skipped, not named .png, .jpg or .jpeg"));
  CHECK_THAT(parts.notes[2], ContainsSubstring("the first: "));
  CHECK_THAT(parts.notes[2], ContainsSubstring("train/cat/Thumbs.db)"));
  CHECK_THAT(parts.notes[3], ContainsSubstring("1 folder skipped, inside a class folder"));
}

TEST_CASE("picture folders: names in any script, and links") {
  Pictures dir;
  dir.add("Bär/größe.png", 1);
  dir.add("熊/图片.png", 2);
  dir.add("медведь/\xff.png", 3);  // no UTF-8: a file's name may be any bytes
  std::filesystem::create_directory(dir / "link");
  std::filesystem::create_symlink("../Bär/größe.png", dir / "link" / "1.png");
  std::filesystem::create_directory_symlink("熊", dir / "دب");
  ImageParts parts = dir.read({.height = 2, .width = 2});
  CHECK(parts.train->class_names() == Names{"Bär", "link", "медведь", "دب", "熊"});
  CHECK(content(*parts.train) == Content{{0, 1}, {1, 1}, {2, 3}, {3, 2}, {4, 2}});
  dir.add("\xc3(/1.png", 4);
  CHECK_THAT(dir.says(), ContainsSubstring("the name of a class must be valid UTF-8"));
}

TEST_CASE("picture folders: no folder, no class, no picture") {
  Pictures dir;
  CHECK_THAT(dir.says(), ContainsSubstring("no class folders here"));
  CHECK_THAT(message_of<IoError>([&] { read_image_folder(dir / "no"); }),
             ContainsSubstring("no: not a directory"));
  CHECK_THAT(message_of<IoError>([&] { read_image_folder(dir.write("file", "")); }),
             ContainsSubstring("file: not a directory"));
  dir.add("cat/1.png", 1);
  CHECK_THAT(dir.says(), ContainsSubstring("cat: the only class folder; at least two"));
  std::filesystem::create_directory(dir / "dog");
  CHECK_THAT(dir.says(), ContainsSubstring("dog: no picture in this class folder"));
  dir.write("dog/picture.gif", "GIF89a");
  CHECK_THAT(dir.says(), ContainsSubstring("dog: no picture in this class folder"));
  dir.add("dog/1.png", 1);
  CHECK(dir.says() == "");

  Pictures parts;
  parts.add("train/1.png", 1);
  parts.add("test/1.png", 1);
  CHECK_THAT(parts.says(), ContainsSubstring("train: no class folders here"));
  parts.add_two_classes("test/");
  CHECK_THAT(parts.says(), ContainsSubstring("train: no class folders here"));
  parts.add_two_classes("train/");
  CHECK(parts.says() == "");
  parts.add("test/zebra/1.png", 1);
  CHECK_THAT(parts.says(),
             ContainsSubstring("test/zebra: class \"zebra\" has no training pictures"));
  std::filesystem::remove_all(parts / "test");
  std::filesystem::create_directories(parts / "valid" / "cat");
  CHECK_THAT(parts.says(), ContainsSubstring("valid/cat: no picture in this class folder"));
  parts.add("val/cat/1.png", 1);
  CHECK_THAT(parts.says(), ContainsSubstring("the same part as"));
}

TEST_CASE("picture folders: broken links, pipes and files that cannot be read") {
  Pictures dir;
  dir.add_two_classes();
  auto with_link = [&](const std::string& target, const std::string& name) {
    std::filesystem::create_symlink(target, dir / name);
    std::string message = dir.says();
    std::filesystem::remove(dir / name);
    return message;
  };
  CHECK_THAT(with_link("nowhere.png", "cat/2.png"),
             ContainsSubstring("cat/2.png: a broken symbolic link: nowhere.png does not exist"));
  CHECK_THAT(with_link("nowhere", "bear"), ContainsSubstring("bear: a broken symbolic link"));
  CHECK_THAT(with_link("2.png", "cat/2.png"), ContainsSubstring("Too many levels of symbolic"));
  CHECK_THAT(with_link("/proc/self/mem", "cat/2.png"),
             ContainsSubstring("cat/2.png: cannot read at offset 0"));
  CHECK_THAT(with_link("/dev/null", "cat/2.png"), ContainsSubstring("neither a file nor a folder"));
  REQUIRE(mkfifo((dir / "dog" / "2.png").c_str(), 0600) == 0);
  CHECK_THAT(dir.says(), ContainsSubstring("dog/2.png: neither a file nor a folder"));
}

TEST_CASE("picture folders: the first broken picture is named, at once or when it is asked for") {
  Pictures dir;
  dir.add_two_classes();
  // Two that are cut short, met by two threads at once; the second takes longer.
  for (int64_t i : {2, 3}) {
    std::string name = "cat/" + std::to_string(i) + ".png";
    std::string whole = encode_png(Array::zeros({i * i * 300, i * i * 300}, DType::u8, kCpu));
    dir.write(name, std::string_view(whole).substr(0, whole.size() - 1));
  }
  for (int i = 0; i < 5; ++i)
    CHECK_THAT(dir.says({.height = 2, .width = 2}),
               ContainsSubstring("cat/2.png: cannot read this PNG: the file is truncated"));
  ImageParts parts = dir.read({.height = 2, .width = 2, .memory_limit = 0});
  CHECK_NOTHROW(parts.train->image(0));
  REQUIRE_THROWS_SAYING(parts.train->image(1), IoError, "cat/2.png: cannot read this PNG");

  Pictures wide;  // 5000 rows of 60000 pixels would be held in between
  wide.add_two_classes();
  wide.add("cat/2.png", 1, 1, 60000);
  parts = wide.read({.height = 5000, .width = 4, .memory_limit = 0});
  REQUIRE_THROWS_SAYING(
      parts.train->image(1), IoError,
      "cat/2.png: a picture of 1 x 60000 pixels is too wide to be fitted to 5000");
}

TEST_CASE("picture folders: options that make no sense") {
  Pictures dir;
  dir.add_two_classes();
  CHECK_THROWS_AS(dir.read({.height = 4}), ValueError);
  CHECK_THROWS_AS(dir.read({.width = 4}), ValueError);
  CHECK_THROWS_AS(dir.read({.height = -4, .width = 4}), ValueError);
  CHECK_THROWS_AS(dir.read({.height = 1 << 20, .width = 1 << 20}), ValueError);
  CHECK_THROWS_AS(dir.read({.channels = 2}), ValueError);
  CHECK_THROWS_AS(dir.read({.memory_limit = -1}), ValueError);
}
