// `classify run` and `classify eval`.
#include <charconv>
#include <cstdio>

#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/data/picture_file.h>
#include <heed/data/resize.h>

#include "../common/checks.h"
#include "commands.h"
#include "evaluate.h"
#include "page.h"
#include "source.h"

namespace heed::examples {

namespace {
std::optional<Pixel> parse_query(const std::string& text) {
  if (text.empty()) return std::nullopt;
  Pixel pixel;
  const char *at = text.data(), *end = at + text.size();
  auto [comma, bad_x] = std::from_chars(at, end, pixel.first);
  bool good = bad_x == std::errc() && comma != end && *comma == ',';
  if (good) {
    auto [last, bad_y] = std::from_chars(comma + 1, end, pixel.second);
    good = bad_y == std::errc() && last == end;
  }
  require(good, str("--query ", text, ": X,Y expected, a pixel counted from 0,0"));
  return pixel;
}

// u8 [C, H, W] as the model takes it.
Array load_picture(const std::string& path, const data::ImageInfo& info) {
  Array picture = data::read_picture(path, info.channels());
  Array fitted = data::fit_picture(picture, info.height(), info.width());
  return Tensor(fitted.permute({2, 0, 1})).contiguous().array();
}

struct Shown {
  Array image;
  std::string title;
};

// Each picture is an image; of a model for clips all of them together are one, frame by frame.
std::vector<Shown> load_images(const std::vector<std::string>& paths, const data::ImageInfo& info) {
  std::vector<Shown> images;
  for (const std::string& path : paths) images.push_back({load_picture(path, info), path});
  if (!info.of_clips()) return images;
  require(static_cast<int64_t>(paths.size()) == info.frames(),
          str("the model takes clips: ", info.frames(),
              " pictures, the frames of one clip, expected, got ", paths.size()));
  std::vector<Tensor> frames;
  for (const Shown& frame : images) frames.push_back(Tensor(frame.image));
  return {{stack(frames, 1).array(), str(paths.front(), " to ", paths.back())}};
}
}  // namespace

int run_command(const RunSettings& s) {
  require_in_range({{"--top", s.top, 1, 1'000'000}});
  set_threads(s.threads);
  std::optional<Pixel> query = parse_query(s.query);
  SavedClassifier saved = load_classifier(s.model);
  std::vector<viz::PicturePanel> panels;
  for (const Shown& shown : load_images(s.pictures, saved.info)) {
    viz::PicturePanel panel = panel_of(*saved.model, saved.info, shown.image, shown.title, query);
    std::printf("%s\n", shown.title.c_str());
    for (const Guess& guess : best_guesses(*saved.model, saved.info, shown.image, s.top)) {
      std::printf("  %5.1f %%  %s\n", 100 * guess.probability, guess.name.c_str());
      panel.lines.push_back(to_string(guess));
    }
    panels.push_back(std::move(panel));
  }
  bool maps = !panels.front().maps.empty();
  viz::save_picture_page(s.page, panels, {.title = "What the model looks at"});
  std::printf("%s: %s\n", maps ? "what it looks at" : "no attention weights to show; the pictures",
              s.page.c_str());
  return 0;
}

int eval_command(EvalSettings& s, const Settings& settings) {
  set_threads(s.threads);
  SavedClassifier saved = load_classifier(s.model);
  ClassifySettings run;
  read_run(settings_of(run), saved.directory, check_classifier_json);
  fill(settings, data_settings(run.data));
  if (s.data.data.empty() != run.data.data.empty() && !given(settings, "data-format"))
    s.data.data_format.clear();  // other data than the run's
  check(s.data);
  data::ImageSetPtr test = open_test_images(s.data, static_cast<uint64_t>(run.training.seed));
  data::require_same_kind(saved.info, *test);
  std::string what = s.data.data.empty() ? s.data.data_format : s.data.data;
  std::printf("classify: %s on %lld test pictures of %s\n", saved.directory.c_str(),
              static_cast<long long>(test->size()), what.c_str());
  std::fflush(stdout);
  data::ImageBatches batches(test, evaluation_batches(saved.info));
  print_report(evaluate(*saved.model, batches, /*progress=*/true), saved.info.class_names);
  return 0;
}

}  // namespace heed::examples
