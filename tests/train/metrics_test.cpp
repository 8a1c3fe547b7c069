// The metric log, the files beneath it, and the formats of the progress line.
#include <heed/train/metrics.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmath>

#include <heed/tests/support/catch.h>
#include <heed/tests/train/toy.h>
#include <heed/train/files.h>
#include <heed/train/loss_chart.h>
#include <heed/train/progress.h>

namespace heed::test {
using namespace train;

TEST_CASE("metrics: one JSON object a line", "[metrics]") {
  TempDir dir;
  fs::path file = dir / "metrics.jsonl";
  {
    MetricLog log(file);
    log.write({{"kind", "train"}, {"step", 1}, {"loss", 0.5}, {"ok", true}});
    REQUIRE(slurp(file) ==
            "{\"kind\":\"train\",\"step\":1,\"loss\":0.5,\"ok\":true}\n");  // at once
    log.write({{"step", 2}, {"loss", std::nan("")}, {"text", std::string("a\"b\n\xff")}});
  }
  MetricLog(file).write({{"step", 3}});
  auto lines = read_metrics(file);
  REQUIRE(lines.size() == 3);
  REQUIRE(lines[0] == std::map<std::string, double>{{"step", 1}, {"loss", 0.5}});
  REQUIRE(lines[1] == std::map<std::string, double>{{"step", 2}});
  REQUIRE(lines[2].at("step") == 3);
}

TEST_CASE("metrics: a partial last line is ignored, and cut when the run goes on", "[metrics]") {
  TempDir dir;
  fs::path file = dir / "metrics.jsonl";
  spit(file, "{\"step\":1}\n{\"step\":2}\n{\"ste");
  REQUIRE(read_metrics(file).size() == 2);
  MetricLog(file).write({{"step", 3}});
  REQUIRE(slurp(file) == "{\"step\":1}\n{\"step\":2}\n{\"step\":3}\n");
  MetricLog(file, 1).write({{"step", 2}});
  REQUIRE(slurp(file) == "{\"step\":1}\n{\"step\":2}\n");
  MetricLog log(file, 0);
  REQUIRE(slurp(file).empty());
  spit(file, "no newline at all");
  REQUIRE(read_metrics(file).empty());
  spit(file, "{}\n[1]\n");
  REQUIRE_THROWS_SAYING(read_metrics(file), IoError, "metrics.jsonl:2:");
  REQUIRE_THROWS_SAYING(read_metrics(dir / "none"), IoError, "none");
  REQUIRE_THROWS_SAYING(MetricLog(dir / "no/metrics"), IoError, "no/metrics");
}

TEST_CASE("loss chart: the losses of a log, if there are any", "[metrics]") {
  TempDir dir;
  fs::path log = dir / "metrics.jsonl", picture = dir / "losses.svg";
  spit(log, "{\"step\":1,\"tokens\":3}\n");
  REQUIRE_FALSE(save_loss_chart(log, picture, "valid_loss"));
  REQUIRE_FALSE(file_exists(picture));
  spit(log, "{\"step\":1,\"loss\":4}\n{\"step\":2,\"loss\":2}\n{\"step\":2,\"valid_loss\":3}\n");
  REQUIRE(save_loss_chart(log, picture, "valid_loss"));
  std::string text = slurp(picture);
  REQUIRE(text.find(">training loss</text>") != text.npos);
  REQUIRE(text.find(">valid_loss</text>") != text.npos);
  spit(log, "{\"step\":2,\"valid_loss\":3}\n");
  REQUIRE(save_loss_chart(log, picture, "valid_loss"));
  REQUIRE(slurp(picture).find("training loss") == text.npos);
  REQUIRE_THROWS_SAYING(save_loss_chart(dir / "none", picture, "loss"), IoError, "none");
  REQUIRE_THROWS_SAYING(save_loss_chart(log, dir / "no/losses.svg", "valid_loss"), IoError,
                        "no/losses.svg");
}

TEST_CASE("a replaced file is new or old, and keeps its permissions", "[files]") {
  TempDir dir;
  fs::path file = dir / "f";
  replace_file(file, "one");
  ::chmod(file.c_str(), 0640);
  replace_file(file, "two");
  REQUIRE(slurp(file) == "two");
  struct stat status {};
  REQUIRE(::stat(file.c_str(), &status) == 0);
  REQUIRE((status.st_mode & 0777) == 0640);
  auto fail = [](const fs::path& temporary) {
    spit(temporary, "half");
    throw IoError("stop");
  };
  REQUIRE_THROWS_SAYING(replace_file(file, fail), IoError, "stop");
  REQUIRE(slurp(file) == "two");
  REQUIRE(std::distance(fs::directory_iterator(std::string(dir)), {}) == 1);
  REQUIRE(file_sum(file).bytes == 3);
  spit(file, "123456789");
  REQUIRE(file_sum(file).crc32 == 0xcbf43926);  // the check value of CRC-32
  REQUIRE_THROWS_SAYING(read_file(file, 4), IoError, "more than 4 bytes");
}

TEST_CASE("progress: plain lines when piped", "[progress]") {
  TempDir dir;
  fs::path file = dir / "out";
  int descriptor = ::open(file.c_str(), O_WRONLY | O_CREAT, 0644);
  {
    Progress often({.descriptor = descriptor, .plain_seconds = 0});
    often.update(1, 4, "loss 1");
    often.line("note");
    often.update(3, 0, "no total");
    Progress rare({.descriptor = descriptor, .plain_seconds = 1000});
    rare.update(2, 4, "never seen");
    Progress none({.descriptor = descriptor, .plain_seconds = 0, .quiet = true});
    none.update(2, 4, "never seen");
    none.line("never seen");
  }
  ::close(descriptor);
  REQUIRE(slurp(file) == " 25 %  loss 1\nnote\nno total\n");
}

TEST_CASE("progress: formats", "[progress]") {
  REQUIRE(format_duration(12.4) == "12s");
  REQUIRE(format_duration(184) == "3m04s");
  REQUIRE(format_duration(2 * 3600 + 7 * 60 + 31) == "2h07m");
  REQUIRE(format_duration(std::nan("")) == "?");
  REQUIRE(format_count(950) == "950");
  REQUIRE(format_count(12345) == "12.3k");
  REQUIRE(format_count(999999) == "1.00M");
  REQUIRE(format_count(4560000) == "4.56M");
  REQUIRE(draw_bar(0, 4) == "[>   ]");
  REQUIRE(draw_bar(0.5, 4) == "[==> ]");
  REQUIRE(draw_bar(1, 4) == "[====]");
}

}  // namespace heed::test
