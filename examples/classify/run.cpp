// `classify run` and `classify eval`.
#include <charconv>
#include <cstdio>

#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/data/image_folder.h>

#include "../common/checks.h"
#include "../common/program.h"
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

struct Shown {
  Array image;
  std::string title;
};

// Each picture is an image; of a model for clips all of them together are one, frame by frame.
std::vector<Shown> load_images(const std::vector<std::string>& paths, const data::ImageInfo& info) {
  std::vector<Shown> images;
  for (const std::string& path : paths)
    images.push_back({data::read_fitted(path, info.channels(), info.height(), info.width()), path});
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
    std::printf("%s\n", printable(shown.title).c_str());
    for (const Guess& guess : best_guesses(*saved.model, saved.info, shown.image, s.top)) {
      std::printf("  %5.1f %%  %s\n", 100 * guess.probability, printable(guess.name).c_str());
      panel.lines.push_back(to_string(guess));
    }
    panels.push_back(std::move(panel));
  }
  print_page(panels, s.page);
  return 0;
}

int eval_command(EvalSettings& s, const Settings& settings) {
  set_threads(s.threads);
  SavedClassifier saved = load_classifier(s.model);
  ClassifySettings run;
  read_run(settings_of(run), saved.directory, check_classifier_json);
  bool others = given(settings, "data") || given(settings, "data-format");
  if (!others) {  // the run's own data, and of those what training left out
    require(!given(settings, "test-every") || s.data.test_every == run.data.test_every,
            str("--test-every ", s.data.test_every, ": the run was trained with ",
                run.data.test_every, ", other pictures are no test; name others with --data"));
    fill(settings, test_settings(run.data));
  }
  check(s.data, settings);
  data::ImageSetPtr test =
      open_test_images(s.data, static_cast<uint64_t>(run.training.seed), saved.info, !others);
  require_same_kind(saved.info, *test, s.data, saved.directory);
  std::printf("classify: %s on %s of %s\n", saved.directory.c_str(),
              counted(test->size(), "test picture").c_str(),
              (s.data.data.empty() ? s.data.data_format : s.data.data).c_str());
  std::fflush(stdout);
  data::ImageBatches batches(test, evaluation_batches(saved.info));
  print_report(evaluate(*saved.model, batches, /*progress=*/true), saved.info.class_names);
  return 0;
}

}  // namespace heed::examples
