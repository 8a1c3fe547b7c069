// What the programs that train have in common: how long, how fast, where to, and going on.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <initializer_list>
#include <string>
#include <utility>

#include <heed/nn/multi_head_attention.h>
#include <heed/train/checkpoint.h>
#include <heed/train/schedule.h>
#include <heed/train/trainer.h>

#include "checks.h"
#include "settings.h"

namespace heed::examples {

struct TrainingSettings {
  int64_t epochs = 0, steps = 0;  // one of these three is above 0
  double minutes = 0;
  double lr = 0, clip = 1;
  std::string schedule = "cosine";
  int64_t warmup = 0, accumulate = 1, keep_last = 0, patience = 0;
  int64_t seed = 1, threads = 0, memory_limit = 0;
  std::string out;
  bool resume = false, replan = false, quiet = false;
};

inline Settings settings_of(TrainingSettings& s) {
  constexpr bool kMayChange = false;
  return {
      {"epochs", &s.epochs, "passes over the data", kMayChange},
      {"steps", &s.steps, "stop after so many steps", kMayChange},
      {"minutes", &s.minutes, "stop after so many minutes of training", kMayChange},
      {"lr", &s.lr, "highest learning rate"},
      {"schedule", &s.schedule,
       "of the learning rate after the warm-up: " + train::schedule_names() +
           ", options behind it, as in step:every=1000,factor=0.5; cosine ends with the training"},
      {"warmup", &s.warmup, "steps until the learning rate is at its highest"},
      {"clip", &s.clip, "largest norm of the gradient; 0 = no clipping"},
      {"accumulate", &s.accumulate, "batches a step"},
      {"keep-last", &s.keep_last, "checkpoints to keep", kMayChange},
      {"patience", &s.patience, "stop after so many evaluations without a better one; 0 = never",
       kMayChange},
      {"seed", &s.seed, "of weights, batches and dropout"},
      {"threads", &s.threads, "0 = all processors"},
      {"memory-limit", &s.memory_limit, "MiB of tensors at most, more is an error; 0 = no limit",
       kMayChange},
      {"out", &s.out, "directory for checkpoints and metrics", kMayChange},
      {"resume", &s.resume, "go on with the run in --out; where it has no checkpoint yet, begin it",
       kMayChange},
      {"replan", &s.replan,
       "with --resume: a schedule for the training as it is now, not as it was planned",
       kMayChange},
      {"quiet", &s.quiet, "no progress", kMayChange},
  };
}

inline Settings joined(std::initializer_list<Settings> parts) {
  Settings all;
  for (const Settings& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

// What --schedule leaves out comes from other flags. ValueError names the flag.
inline train::Schedule schedule_of(const TrainingSettings& s, int64_t steps, double lowest) {
  try {
    return train::parse_schedule(s.schedule,
                                 {.lr = s.lr, .warmup = s.warmup, .steps = steps, .min = lowest});
  } catch (const ValueError& error) {
    throw ValueError(str("--", error.what()));
  }
}

inline void check(const TrainingSettings& s) {
  require(!s.out.empty(), "--out: a directory expected");
  require_in_range({{"--epochs", s.epochs, 0, 100'000},
                    {"--steps", s.steps, 0},
                    {"--warmup", s.warmup, 0},
                    {"--accumulate", s.accumulate, 1},
                    {"--keep-last", s.keep_last, 1},
                    {"--patience", s.patience, 0},
                    {"--seed", s.seed, 0, kAnyHigh},
                    {"--threads", s.threads, 0},
                    {"--memory-limit", s.memory_limit, 0, kMostMebibytes}});
  require_positive("--lr", s.lr);
  require_not_negative({{"--clip", s.clip}, {"--minutes", s.minutes}});
  require(s.epochs > 0 || s.steps > 0 || s.minutes > 0,
          "--epochs, --steps or --minutes above 0 expected");
  constexpr int64_t kEndless = int64_t{1} << 62;
  train::Schedule schedule = schedule_of(s, kEndless, 0);
  require(schedule.kind != train::Schedule::Kind::cosine || schedule.steps != kEndless ||
              s.epochs > 0 || s.steps > 0,
          "--schedule cosine needs --epochs or --steps, which say where it ends");
}

inline void use_machine(const TrainingSettings& s) {
  set_threads(s.threads);
  limit_memory(s.memory_limit);
}

// Fills in what the command line did not give: from `base`, or with --resume from what the run's
// last checkpoint says; without a checkpoint it says so, and the run begins. Both structs keep
// their TrainingSettings in `training`; check_model as in read_run. ValueError names the flag.
template <class AllSettings, class CheckModel>
void complete(AllSettings& s, const Settings& settings, AllSettings base,
              CheckModel&& check_model) {
  TrainingSettings& t = s.training;
  bool epochs = given(settings, "epochs"), steps = given(settings, "steps"),
       minutes = given(settings, "minutes");
  require(epochs + steps + minutes <= 1, "--epochs, --steps and --minutes: only one of them");
  require(!epochs || t.epochs > 0, str("--epochs ", t.epochs, ": at least 1 expected"));
  require(!steps || t.steps > 0, str("--steps ", t.steps, ": at least 1 expected"));
  require(!minutes || t.minutes > 0, str("--minutes ", t.minutes, ": a number above 0 expected"));
  require(!t.replan || t.resume, "--replan: it goes with --resume");
  if (t.resume && !train::has_checkpoint(t.out)) {
    std::printf("%s: no checkpoint to go on with: the run starts from the beginning\n",
                t.out.c_str());
    t.resume = false;
  }
  if (t.resume) {
    read_run(settings_of(base), t.out, check_model);
    check_same_run(settings, settings_of(base), t.out);
  }
  fill(settings, settings_of(base));
  if (!epochs && !steps && !minutes) return;
  if (!epochs) t.epochs = 0;  // one of them instead of another, not beside it
  if (!steps) t.steps = 0;
  if (!minutes) t.minutes = 0;
  if (minutes && t.schedule == "cosine" && !given(settings, "schedule") && !t.resume)
    t.schedule = "inverse_sqrt";
}

// A batch's tokens where the model was made.
inline Tensor on_device(const Array& ids) { return Tensor(ids.to(default_device())); }

// Steps of the whole training, whose epochs have count(epoch) batches; 0 where --minutes end it.
template <class Count>
int64_t total_steps(const TrainingSettings& s, Count&& count) {
  if (s.steps > 0) return s.steps;
  return s.epochs > 0 ? planned_steps(s.epochs, s.accumulate, count) : 0;
}

// What a run that goes on does with its plan: the schedule that it began with stays, unless
// --replan asks for that of the settings as they are now. Says what changes. ValueError: more
// updates than a cosine planned, all of which are done.
inline train::Schedule planned_schedule(const TrainingSettings& s, const train::Schedule& now) {
  train::TrainState state = train::read_train_state(train::find_checkpoint(s.out));
  if (state.schedule.empty() || state.schedule == train::to_string(now)) return now;
  train::Schedule plan = train::parse_schedule(state.schedule, now);
  int64_t next = state.step + 1;
  if (s.replan) {
    std::printf("a new plan, %s instead of %s: the learning rate goes from %.3g to %.3g\n",
                train::to_string(now).c_str(), state.schedule.c_str(), plan(next), now(next));
    return now;
  }
  require(plan.kind != train::Schedule::Kind::cosine || state.step < plan.steps ||
              now.steps <= plan.steps,
          str("the ", plan.steps, " updates that the run in ", s.out, " planned are done, and its ",
              "learning rate is at its lowest: --replan goes on with a new plan, and another run ",
              "with --init-from starts from these weights"));
  std::printf(
      "the plan stays %s, though this run now ends elsewhere (--replan changes it); the "
      "next learning rate is %.3g\n",
      state.schedule.c_str(), plan(next));
  return plan;
}

// count(epoch): its batches. A cosine ends at `lowest`.
template <class Count>
train::Schedule make_schedule(const TrainingSettings& s, double lowest, Count&& count) {
  int64_t steps = std::max({total_steps(s, count), s.warmup, int64_t{1}});
  train::Schedule now = schedule_of(s, steps, lowest);
  return s.resume ? planned_schedule(s, now) : now;
}

// `config`: the model's config.json with the program's settings in it.
inline train::TrainerConfig trainer_config(const TrainingSettings& s, std::string config) {
  train::TrainerConfig c;
  c.epochs = s.epochs;
  c.max_steps = s.steps;
  c.minutes = s.minutes;
  c.accumulate = s.accumulate;
  c.clip_norm = s.clip;
  c.patience = s.patience;
  c.keep_last = s.keep_last;
  c.out_dir = s.out;
  c.resume = s.resume;
  c.seed = static_cast<uint64_t>(s.seed);
  c.config = std::move(config);
  c.metric_name = "valid_loss";
  c.quiet = s.quiet;
  return c;
}

// Says how to go on, and returns the exit code: as a shell reports Ctrl-C.
inline int report_interrupted(const char* program, const TrainingSettings& s,
                              const train::TrainResult& result) {
  std::printf("stopped at step %lld; to go on: %s train --out %s --resume\n",
              static_cast<long long>(result.state.step), program, s.out.c_str());
  return 130;
}

// For the first lines of a run: the variant, and whether it goes without the dropout of others.
inline std::string describe(const nn::MultiHeadAttention& attention) {
  const nn::MultiHeadAttentionConfig& c = attention.config();
  bool without = c.default_dropout > 0 && !c.dropout && attention.attention_dropout() == 0;
  return c.variant + (without ? " (no dropout on its weights)" : "");
}

}  // namespace heed::examples
