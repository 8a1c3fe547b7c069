// classify train | eval | run: classes of pictures and clips, by a residual network with blocks of
// attention or by a vision transformer.
//
//   classify train --out demo                                   generated shapes
//   classify train --data /usr/share/datasets/fashion-mnist --arch resnet --slots 2 --out run
//   classify eval --model run
//   classify run --model run picture.png --query 10,12
#include "../common/cli.h"
#include "../common/defaults.h"
#include "commands.h"

using namespace heed::examples;

// The defaults by what depends on them; --arch is not one of them.
static std::vector<std::string> defaults() {
  std::vector<std::pair<std::string, ClassifySettings>> sets;
  for (bool generated : {false, true})
    for (const char* arch : {"resnet", "resnet3d", "vit"}) {
      const std::string drawn = std::string(arch) == "vit"        ? "shapes with vit"
                                : std::string(arch) == "resnet3d" ? "clips"
                                                                  : "shapes";
      sets.emplace_back(generated ? drawn : arch, defaults_for(arch, generated));
      sets.back().second.arch = ClassifySettings().arch;
    }
  return default_texts(sets);
}

int main(int argc, char** argv) {
  CLI::App app("A classifier of pictures that attends", "classify");
  app.require_subcommand(1);

  ClassifySettings train;
  Settings settings = settings_of(train);
  CLI::App* train_app =
      app.add_subcommand("train", "learn from pictures; without --data from generated ones");
  add_settings(*train_app, settings, defaults());

  EvalSettings eval;
  Settings data = test_settings(eval.data);
  CLI::App* eval_app = app.add_subcommand(
      "eval", "accuracy on the test pictures of the data that the model learned from, or others");
  add_settings(*eval_app, data);

  RunSettings run;
  CLI::App* run_app = app.add_subcommand(
      "run", "name the most likely classes, and draw what the model looks at as a page");
  run_app->add_option("pictures", run.pictures, "PNG or JPEG; of a model for clips: the frames")
      ->check(empty_fault)
      ->required();
  add_value(*run_app, "--query", run.query,
            "X,Y: whose attention is shown, a pixel of the picture as the model takes it, of "
            "a clip in its middle frame; "
            "without it the class token or the middle");
  add_value(*run_app, "--page", run.page, "the page's file");
  add_value(*run_app, "--top", run.top, "classes to name");

  add_value(*eval_app, "--model", eval.model, "a run's directory, or a checkpoint")->required();
  add_value(*run_app, "--model", run.model, "a run's directory, or a checkpoint")->required();
  add_value(*eval_app, "--threads", eval.threads, "0 = all processors");
  add_value(*run_app, "--threads", run.threads, "0 = all processors");

  return run_cli(app, argc, argv, [&] {
    if (*run_app) return run_command(run);
    if (*eval_app) {
      mark_given(*eval_app, data);
      return eval_command(eval, data);
    }
    mark_given(*train_app, settings);
    complete(train, settings);
    return train_command(train);
  });
}
