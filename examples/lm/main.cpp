// lm train | generate: a language model.
//
//   lm train --out demo                        a generated text
//   lm train --text book.txt --tokenizer bpe --out run
//   lm generate --model run --prompt "Once upon" --temperature 0.8 --top-p 0.95
//   lm generate --model run --prompt "Once upon" --beam 5 --no-repeat-ngram 4
#include <vector>

#include "../common/cli.h"
#include "../common/defaults.h"
#include "settings.h"

using namespace heed::examples;

int main(int argc, char** argv) {
  CLI::App app("A language model", "lm");
  app.require_subcommand(1);

  LmSettings train;
  Settings settings = settings_of(train);
  CLI::App* train_app =
      app.add_subcommand("train", "learn from a text; without a file: from a generated one");
  add_settings(*train_app, settings, default_texts<LmSettings>({{"", {}}}));

  GenerateSettings generate;
  CLI::App* generate_app = app.add_subcommand("generate", "write text");
  add_value(*generate_app, "--model", generate.model, "a run's directory, or a checkpoint")
      ->required();
  generate_app->add_option("--prompt", generate.prompt, "how the text begins");
  add_value(*generate_app, "--tokens", generate.tokens, "how many to add");
  CLI::Option* beam =
      add_value(*generate_app, "--beam", generate.beam,
                "search for the likeliest text with so many hypotheses, instead of drawing");
  std::vector<CLI::Option*> of_draws = {
      add_value(*generate_app, "--temperature", generate.temperature,
                "0: always the likeliest token"),
      add_value(*generate_app, "--top-k", generate.top_k, "draw from the k likeliest; 0 = all"),
      add_value(*generate_app, "--top-p", generate.top_p,
                "draw from the likeliest that reach p together; 1 = all"),
      add_value(*generate_app, "--seed", generate.seed, "of the draws")};
  for (CLI::Option* option : of_draws) beam->excludes(option);
  add_value(*generate_app, "--repetition-penalty", generate.rules.repetition_penalty,
            "above 1: tokens that the text has already become less likely");
  add_value(*generate_app, "--no-repeat-ngram", generate.rules.no_repeat_ngram,
            "no run of so many tokens comes twice; 0 = any may");
  add_value(*generate_app, "--threads", generate.threads, "0 = all processors");

  return run_cli(app, argc, argv, [&] {
    if (*generate_app) return generate_command(generate);
    mark_given(*train_app, settings);
    complete(train, settings);
    return train_command(train);
  });
}
