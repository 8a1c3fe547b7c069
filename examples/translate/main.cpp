// translate train | run | eval: a Transformer that learns to translate.
//
//   translate train --out demo                          the toy language pair
//   translate train --src train.en --tgt train.de --valid-src val.en --valid-tgt val.de --out run
//   translate run --model run < in.txt > out.txt
//   translate eval --model run --src test.en --ref test.de
#include "../common/cli.h"
#include "../common/defaults.h"
#include "commands.h"

using namespace heed::examples;

int main(int argc, char** argv) {
  CLI::App app("A Transformer that learns to translate", "translate");
  app.require_subcommand(1);

  TrainSettings train;
  Settings settings = settings_of(train);
  CLI::App* train_app = app.add_subcommand(
      "train", "learn from sentence pairs; without files: from a toy language pair");
  add_settings(*train_app, settings,
               default_texts<TrainSettings>(
                   {{"with --src", file_defaults()}, {"without --src", toy_defaults()}}));

  TranslateSettings translate;
  CLI::App* run_app = app.add_subcommand("run", "translate stdin, a sentence a line, to stdout");
  CLI::App* eval_app =
      app.add_subcommand("eval", "translate a file and compare it with a reference");
  for (CLI::App* sub : {run_app, eval_app}) {
    add_value(*sub, "--model", translate.model, "a run's directory, or a checkpoint")->required();
    add_value(*sub, "--beam", translate.beam, "hypotheses kept; 1 = greedy");
    add_value(*sub, "--length-penalty", translate.length_penalty, "alpha of the beam search");
    add_value(*sub, "--no-repeat-ngram", translate.no_repeat_ngram,
              "no run of so many tokens comes twice in a translation; 0 = any may");
    add_value(*sub, "--threads", translate.threads, "0 = all processors");
  }
  add_value(*eval_app, "--src", translate.src, "source sentences")->required();
  add_value(*eval_app, "--ref", translate.ref, "their translations")->required();
  add_value(*eval_app, "--out", translate.out, "a file for the model's translations");

  return run_cli(app, argc, argv, [&] {
    if (*run_app) return run_command(translate);
    if (*eval_app) return eval_command(translate);
    mark_given(*train_app, settings);
    complete(train, settings);
    return train_command(train);
  });
}
