#include <heed/data/cifar.h>

#include <sys/stat.h>

#include <heed/core/error.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
constexpr size_t kPlane = 32 * 32;

// An image whose planes count up from `first`, each from another number.
std::string record(int label, int first) {
  std::string out(1, static_cast<char>(label));
  for (size_t i = 0; i < 3 * kPlane; ++i)
    out.push_back(static_cast<char>(first + static_cast<int>(i % kPlane + 7 * (i / kPlane))));
  return out;
}
void write_batches(const TempDir& dir, const std::string& folder = ".") {
  std::filesystem::create_directories(dir / folder);
  for (int b = 1; b <= 5; ++b)
    dir.write(folder + "/data_batch_" + std::to_string(b) + ".bin", record(b, b) + record(0, b));
  dir.write(folder + "/test_batch.bin", record(9, 90));
}
const std::string kNames = "airplane\nautomobile\nbird\ncat\ndeer\ndog\nfrog\nhorse\nship\ntruck\n";
}  // namespace

TEST_CASE("CIFAR-10: labels, planes and order") {
  TempDir dir;
  auto set = read_cifar_files({dir.write("b", record(3, 0) + record(9, 5)).string(),
                               dir.write("a", record(0, 200)).string()});
  REQUIRE(set->size() == 3);
  CHECK(set->image_shape() == Shape{3, 32, 32});
  CHECK(set->label(0) == 3);
  CHECK(set->label(1) == 9);
  CHECK(set->label(2) == 0);
  for (int64_t i = 0; i < 3; ++i) {
    Array image = set->image(i);
    const uint8_t* pixel = image.data<uint8_t>();
    int first = i == 0 ? 0 : i == 1 ? 5 : 200;
    for (size_t k = 0; k < 3 * kPlane; ++k)
      if (pixel[k] != static_cast<uint8_t>(first + static_cast<int>(k % kPlane + 7 * (k / kPlane))))
        FAIL("image " << i << ", value " << k);
  }
  CHECK(set->class_names()[9] == "9");
}

TEST_CASE("CIFAR-10: the folder, or the one above it, with and without names") {
  TempDir dir;
  write_batches(dir, "cifar-10-batches-bin");
  dir.write("cifar-10-batches-bin/batches.meta.txt", kNames + "\n");
  for (auto& place : {dir.path(), dir / "cifar-10-batches-bin"}) {
    ImageParts parts = read_cifar_folder(place.string());
    REQUIRE(parts.train->size() == 10);
    CHECK(parts.train->label(2) == 2);
    CHECK(parts.train->class_names()[1] == "automobile");
    CHECK(parts.train->classes() == 10);
    REQUIRE(parts.test->size() == 1);
    CHECK(parts.test->label(0) == 9);
    CHECK(parts.validation == nullptr);
    CHECK(parts.notes.empty());
  }
  dir.write("cifar-10-batches-bin/test_batch.bin", "broken");
  ImageParts training = read_cifar_folder(dir.path().string(), ReadParts::training);
  CHECK((training.train && !training.test && training.has_test));
  CHECK_THROWS_AS(read_cifar_folder(dir.path().string(), ReadParts::test), IoError);
  auto pipe = dir / "cifar-10-batches-bin/data_batch_2.bin";
  std::filesystem::remove(pipe);
  REQUIRE(mkfifo(pipe.c_str(), 0600) == 0);
  CHECK_THAT(message_of<IoError>([&] { read_cifar_folder(dir.path().string()); }),
             ContainsSubstring("data_batch_2.bin: not a regular file"));
  TempDir only_test;
  only_test.write("test_batch.bin", record(1, 1));
  ImageParts parts = read_cifar_folder(only_test.path().string());
  CHECK(parts.train == nullptr);
  CHECK(parts.test->class_names()[3] == "3");
  REQUIRE(parts.notes.size() == 1);
  CHECK_THAT(parts.notes[0], ContainsSubstring("no training images"));
}

TEST_CASE("CIFAR-10: files that are not so") {
  TempDir dir;
  auto says = [&](std::string_view content) {
    std::string path = dir.write("x.bin", content).string();
    return message_of<IoError>([&] { read_cifar_files({path}); });
  };
  std::string two = record(3, 0) + record(4, 0);
  CHECK(says(two) == "");
  CHECK_THAT(says(""), ContainsSubstring("x.bin: the file is empty"));
  CHECK_THAT(says("label"), ContainsSubstring("x.bin: 5 bytes are not a whole number"));
  CHECK_THAT(says(two + "x"),
             ContainsSubstring("6147 bytes are not a whole number of CIFAR-10 images "
                               "of 3073 bytes; 1 are left over"));
  for (size_t n = 1; n < two.size(); n += 61)
    if (n != two.size() / 2)
      CHECK_THAT(says(std::string_view(two).substr(0, n)), ContainsSubstring("not a whole number"));
  CHECK_THAT(says(record(3, 0) + record(10, 0)),
             ContainsSubstring("x.bin: label 10 of image 1, at byte 3073, is out of range"));
  CHECK_THAT(says(record(255, 0)), ContainsSubstring("label 255 of image 0"));
  CHECK_THAT(message_of<IoError>([&] { read_cifar_files({dir / "no.bin"}); }),
             ContainsSubstring("no.bin: cannot open"));
  CHECK_THAT(message_of<IoError>([&] { read_cifar_files({dir.path()}); }),
             ContainsSubstring("is a directory"));
  std::filesystem::create_symlink("/proc/self/mem", dir / "refused.bin");
  CHECK_THAT(message_of<IoError>([&] { read_cifar_files({dir / "refused.bin"}); }),
             ContainsSubstring("refused.bin: cannot read at offset 0"));
  CHECK_THROWS_AS(read_cifar_files({}), ValueError);
}

TEST_CASE("CIFAR-10: folders that are not whole") {
  TempDir dir;
  auto says = [&] { return message_of<IoError>([&] { read_cifar_folder(dir.path().string()); }); };
  CHECK_THAT(says(), ContainsSubstring("none of the CIFAR-10 files data_batch_1.bin"));
  CHECK_THAT(message_of<IoError>([&] { read_cifar_folder(dir / "no"); }),
             ContainsSubstring("no: not a directory"));
  dir.write("data_batch_1", "pickled");
  CHECK_THAT(says(), ContainsSubstring("this is the Python version"));

  write_batches(dir);
  CHECK(says() == "");
  std::filesystem::remove(dir / "data_batch_4.bin");
  CHECK_THAT(says(), ContainsSubstring("data_batch_4.bin: no such file, although there is "));
  CHECK_THAT(says(), ContainsSubstring("1 batch is missing"));
  std::filesystem::remove(dir / "data_batch_1.bin");
  CHECK_THAT(says(), ContainsSubstring("data_batch_1.bin: no such file"));
  CHECK_THAT(says(), ContainsSubstring("2 batches are missing"));

  write_batches(dir);
  std::filesystem::remove(dir / "data_batch_4.bin");
  std::filesystem::create_symlink("nowhere", dir / "data_batch_4.bin");
  CHECK_THAT(says(), ContainsSubstring("data_batch_4.bin: cannot open: No such file"));
  std::filesystem::remove(dir / "data_batch_4.bin");
  write_batches(dir);
  dir.write("test_batch.bin", record(77, 1));
  CHECK_THAT(says(), ContainsSubstring("test_batch.bin: label 77"));

  write_batches(dir);
  dir.write("batches.meta.txt", "one\ntwo\n");
  CHECK_THAT(says(), ContainsSubstring("batches.meta.txt: 10 class names expected, got 2"));
  dir.write("batches.meta.txt", "\n" + kNames.substr(kNames.find('\n') + 1));
  CHECK_THAT(says(), ContainsSubstring("batches.meta.txt:1: a class name expected"));
  dir.write("batches.meta.txt", kNames + "eleventh\n");
  CHECK_THAT(says(), ContainsSubstring("got 11"));
}
