// The loop: going on to the bit, stopping, saving.
#include <heed/train/trainer.h>

#include <csignal>

#include <heed/core/device_memory.h>
#include <heed/core/memory.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/test_device.h>
#include <heed/tests/train/toy.h>
#include <heed/train/batch_ahead.h>
#include <heed/train/interrupt.h>
#include <heed/train/metrics.h>

namespace heed::test {
using namespace train;

namespace {
const Schedule kSchedule = inverse_sqrt_schedule(0.02, 5);

// What a run leaves behind, as far as it must be the same to the bit.
struct Trace {
  std::map<std::string, std::string> weights, moments;
  TrainState state;
  StopReason reason;
  std::vector<std::map<std::string, double>> log;  // without times
  bool operator==(const Trace& o) const {
    return weights == o.weights && moments == o.moments && log == o.log &&
           state.step == o.state.step && state.epoch == o.state.epoch &&
           state.batch == o.state.batch && state.best == o.state.best &&
           state.best_step == o.state.best_step && state.tokens == o.state.tokens &&
           state.stale_evaluations == o.state.stale_evaluations &&
           state.rng_seed == o.state.rng_seed && state.rng_offset == o.state.rng_offset;
  }
};

// One process's worth of training: everything made anew. `stop_at`: Ctrl-C after that update.
Trace run(TrainerConfig config, int64_t stop_at = -1, uint64_t init = 1) {
  Mlp model(init);
  AdamW optimizer(decay_matrices(model, {.beta2 = 0.98, .weight_decay = 0.01}));
  TrainTask task = toy_task(model);
  task.on_step = [&](const TrainState& state) {
    if (state.step == stop_at) InterruptGuard::request();
  };
  task.on_evaluate = [&](const TrainState& state, double) {
    if (!config.out_dir.empty())
      MetricLog(config.out_dir + "/metrics.jsonl")
          .write({{"kind", "epoch"},
                  {"step", state.step},
                  {"train_loss", mean_loss(state.train_loss)},
                  {"weight", state.train_loss.at("loss").weight}});
    return std::string();
  };
  TrainResult result = Trainer(model, optimizer, kSchedule, task, config).run();
  Trace trace{
      bits(model.state_dict()), bits(optimizer.state_dict()), result.state, result.reason, {}};
  trace.state.rng_seed = default_generator().seed();
  trace.state.rng_offset = default_generator().offset();
  if (!config.out_dir.empty())
    for (auto line : read_metrics(config.out_dir + "/metrics.jsonl")) {
      line.erase("seconds");
      line.erase("tokens_per_second");
      line.erase("peak_bytes");
      trace.log.push_back(line);
    }
  return trace;
}
}  // namespace

TEST_CASE("the same seed gives the same bits", "[trainer]") {
  REQUIRE(run(quiet(3)) == run(quiet(3)));
  TrainerConfig other = quiet(3);
  other.seed = 6;
  REQUIRE_FALSE(run(quiet(3)) == run(other));  // dropout alone differs
}

namespace {
// Stops a run of four epochs (7, 8, 7 and 8 batches) after an update and goes on: for each update
// that is asked for.
void require_exact_resume(int64_t accumulate, int64_t eval_every,
                          const std::function<bool(int64_t)>& asked) {
  TempDir whole_dir;
  TrainerConfig config = quiet(4);
  config.accumulate = accumulate;
  config.eval_every = eval_every;
  config.out_dir = whole_dir;
  Trace whole = run(config);
  REQUIRE(whole.reason == StopReason::epochs);
  REQUIRE(whole.state.step == (accumulate == 1 ? 30 : 12));
  REQUIRE(whole.log.size() > 4);
  for (int64_t cut = 1; cut < whole.state.step; ++cut) {
    if (!asked(cut)) continue;
    INFO("accumulate " << accumulate << ", eval_every " << eval_every << ", cut after " << cut);
    TempDir dir;
    config.out_dir = dir;
    config.resume = true;  // an empty directory: from the start
    Trace part = run(config, cut);
    REQUIRE(part.reason == StopReason::interrupted);
    REQUIRE(part.state.step == cut);
    Trace rest = run(config, -1, 99);  // other initial weights, which must not matter
    REQUIRE(rest == whole);
  }
}
}  // namespace

TEST_CASE("a run that goes on equals one that was not stopped, to the bit", "[trainer]") {
  // At an epoch's end, one before, one after; at an evaluation; anywhere.
  require_exact_resume(1, 0, [](int64_t cut) { return cut == 2 || (cut >= 14 && cut <= 16); });
  require_exact_resume(1, 4, [](int64_t cut) { return cut == 12 || cut == 15 || cut == 27; });
  require_exact_resume(3, 0, [](int64_t cut) { return cut >= 3 && cut <= 5; });
}

TEST_CASE("a run can be stopped after any update", "[.full]") {
  for (int64_t accumulate : {1, 3})
    for (int64_t eval_every : {0, 4})
      require_exact_resume(accumulate, eval_every, [](int64_t) { return true; });
}

TEST_CASE("stopping after every update still gives the same bits", "[trainer]") {
  TempDir whole_dir, dir;
  TrainerConfig config = quiet(2);
  config.out_dir = whole_dir;
  Trace whole = run(config);
  config.out_dir = dir;
  config.resume = true;
  Trace part;
  for (int64_t step = 1; step <= 40; ++step)
    if ((part = run(config, step)).reason == StopReason::epochs) break;
  REQUIRE(part == whole);
  REQUIRE(run(config) == whole);  // a finished run that goes on changes nothing
}

TEST_CASE("an evaluation that fails comes after its checkpoint, and again in the next run",
          "[trainer]") {
  TempDir whole_dir, dir;
  TrainerConfig config = quiet(2);
  config.out_dir = whole_dir;
  Trace whole = run(config);

  config.out_dir = dir;
  Mlp model;
  AdamW optimizer(decay_matrices(model, {.beta2 = 0.98, .weight_decay = 0.01}));
  TrainTask task = toy_task(model);
  task.evaluate = []() -> double { throw ValueError("no metric"); };
  REQUIRE_THROWS_SAYING(Trainer(model, optimizer, kSchedule, task, config).run(), ValueError,
                        "no metric");
  TrainState state = read_train_state(find_checkpoint(dir));
  REQUIRE(state.step == 7);
  REQUIRE(state.evaluation_due);
  REQUIRE_FALSE(state.best);

  // A program that was killed after its evaluation's line left that line behind.
  MetricLog(config.out_dir + "/metrics.jsonl").write({{"kind", "eval"}, {"step", 7}});
  config.resume = true;
  REQUIRE(run(config, -1, 99) == whole);
  REQUIRE_FALSE(read_train_state(find_checkpoint(dir, true)).evaluation_due);
}

TEST_CASE("each evaluation logs the most memory that the run took", "[trainer]") {
  TempDir dir;
  TrainerConfig config = quiet(2);
  config.out_dir = dir;
  Tensor before = zeros({1 << 20});  // held, and gone before the run begins
  before = Tensor();
  run(config);
  int evaluations = 0;
  for (const auto& line : read_metrics(config.out_dir + "/metrics.jsonl")) {
    auto peak = line.find("peak_bytes");
    if (peak == line.end()) continue;
    ++evaluations;
    CHECK(peak->second > 0);
    CHECK(peak->second < 1 << 20);
  }
  CHECK(evaluations == 2);
}

TEST_CASE("the log calls what is counted by its name", "[trainer]") {
  TempDir dir;
  TrainerConfig config = quiet(2);
  config.out_dir = dir;
  config.log_every = 1;
  config.unit_name = "pictures";
  run(config);
  int64_t lines = 0;
  for (const auto& line : read_metrics(config.out_dir + "/metrics.jsonl"))
    if (line.contains("lr")) {
      ++lines;
      CHECK((line.at("pictures") > 0 && line.contains("pictures_per_second")));
      CHECK_FALSE(line.contains("tokens"));
    }
  CHECK(lines > 0);
}

TEST_CASE("evaluation leaves no trace in training", "[trainer]") {
  Mlp model, twin;
  AdamW optimizer(model.named_parameters()), other(twin.named_parameters());
  TrainTask task = toy_task(model);
  bool eval_mode = false, grad = true;
  task.evaluate = [&] {
    eval_mode = !model.is_training() && !model.dropout.is_training();
    grad = grad_enabled();
    return default_generator().uniform();  // uses random numbers
  };
  Trainer(model, optimizer, kSchedule, task, quiet(2)).run();
  REQUIRE(eval_mode);
  REQUIRE_FALSE(grad);
  REQUIRE(model.dropout.is_training());
  TrainTask plain = toy_task(twin);
  plain.evaluate = nullptr;
  Trainer(twin, other, kSchedule, plain, quiet(2)).run();
  REQUIRE(bits(model.state_dict()) == bits(twin.state_dict()));
}

TEST_CASE("accumulation is the mean of the batches' losses", "[trainer]") {
  Mlp model, twin;
  model.dropout.eval();
  Sgd optimizer(model.named_parameters()), other(twin.named_parameters());
  TrainTask task = toy_task(model);
  TrainerConfig config = quiet(1);
  config.accumulate = 5;  // 7 batches: 5, then 2
  config.clip_norm = 0;
  Trainer(model, optimizer, constant_schedule(0.1), task, config).run();
  REQUIRE(optimizer.step_count() == 2);
  REQUIRE_FALSE(model.dropout.is_training());  // frozen before, frozen after
  twin.dropout.eval();
  for (auto [begin, end] : {std::pair{0, 5}, std::pair{5, 7}}) {
    for (int i = begin; i < end; ++i) (toy_loss(twin, 0, i) * (1.0 / (end - begin))).backward();
    other.step(0.1);
    other.zero_grad();
  }
  for (auto& [name, value] : model.state_dict()) {
    auto a = value.to_vector(), b = twin.state_dict().at(name).to_vector();
    for (size_t i = 0; i < a.size(); ++i) REQUIRE_THAT(a[i], WithinAbs(b[i], 1e-6));
  }
}

TEST_CASE("early stop, best and last", "[trainer]") {
  TempDir dir;
  Mlp model;
  AdamW optimizer(model.named_parameters());
  TrainTask task = toy_task(model);
  const std::vector<double> metrics{5, 3, std::nan(""), 4, 3, 9, 9, 9};
  bool higher = GENERATE(false, true);
  size_t asked = 0;
  task.evaluate = [&] { return (higher ? -1 : 1) * metrics[asked++]; };
  task.higher_is_better = higher;
  std::string told;
  task.on_evaluate = [&](const TrainState& state, double) {
    told += str(state.step, " ");
    return std::string();
  };
  TrainerConfig config = quiet(100);
  config.patience = 3;
  config.out_dir = dir;
  TrainResult result = Trainer(model, optimizer, kSchedule, task, config).run();
  REQUIRE(result.reason == StopReason::patience);
  REQUIRE(asked == 5);  // best at the second; three without a better one
  REQUIRE(result.state.epoch == 5);
  REQUIRE(result.state.best == (higher ? -3 : 3));
  REQUIRE(result.state.best_step == 15);
  REQUIRE(told == "7 15 22 30 37 ");
  CheckpointStore store(dir);
  REQUIRE(fs::path(*store.best()).filename() == "step-15");
  REQUIRE(fs::path(*store.last()).filename() == "step-37");
  REQUIRE(read_train_state(*store.best()).best == result.state.best);
}

TEST_CASE("limits: steps and minutes", "[trainer]") {
  TrainerConfig config = quiet(0);
  config.max_steps = 9;
  Trace steps = run(config);
  REQUIRE(steps.reason == StopReason::max_steps);
  REQUIRE(steps.state.step == 9);
  config.max_steps = 0;
  config.minutes = 1e-9;
  REQUIRE(run(config).reason == StopReason::minutes);
}

TEST_CASE("Ctrl-C: the update is finished and saved", "[trainer]") {
  TempDir dir;
  Mlp model;
  AdamW optimizer(model.named_parameters());
  TrainTask task = toy_task(model);
  auto inner = task.step;
  task.step = [&](int64_t epoch, int64_t index) {
    if (epoch == 1 && index == 2) std::raise(SIGINT);  // in the middle of an update
    return inner(epoch, index);
  };
  TrainerConfig config = quiet(10);
  config.out_dir = dir;
  TrainResult result = Trainer(model, optimizer, kSchedule, task, config).run();
  REQUIRE(result.reason == StopReason::interrupted);
  REQUIRE(result.state.step == 10);
  Mlp other(9);
  TrainState state = load_checkpoint(find_checkpoint(dir), other);
  REQUIRE(state.step == 10);
  REQUIRE(state.epoch == 1);
  REQUIRE(state.batch == 3);
  REQUIRE(bits(other.state_dict()) == bits(model.state_dict()));
}

TEST_CASE("on another device the run has the same bits, and an update reads nothing back",
          "[trainer]") {
  TempDir here, there;
  TrainerConfig config = quiet(3);
  config.out_dir = here;
  Trace on_cpu = run(config);
  DefaultDevice on(test_device());
  config.out_dir = there;
  REQUIRE(run(config) == on_cpu);
  // Stopped and gone on with, from files, too.
  TempDir stopped;
  config.out_dir = stopped;
  run(config, 11);
  config.resume = true;
  REQUIRE(run(config, -1, 2) == on_cpu);

  Mlp model;
  AdamW optimizer(model.named_parameters());
  TrainTask task = toy_task(model);
  task.evaluate = nullptr;
  std::vector<int64_t> reads;
  task.on_step = [&](const TrainState&) {
    reads.push_back(transfer_counts(test_device()).to_host);
  };
  config = quiet(2);
  config.log_every = 0;
  Trainer(model, optimizer, kSchedule, task, config).run();
  REQUIRE(reads.size() == 15);
  REQUIRE(reads.front() == reads.back());
}

TEST_CASE("a steady loop makes no real allocation", "[trainer]") {
  Mlp model;
  AdamW optimizer(model.named_parameters());
  TrainTask task = toy_task(model);
  std::vector<int64_t> allocations;
  task.on_step = [&](const TrainState&) { allocations.push_back(memory_stats().real_allocations); };
  TrainerConfig config = quiet(10);
  config.accumulate = 2;
  Trainer(model, optimizer, kSchedule, task, config).run();
  REQUIRE(allocations.size() == 40);
  REQUIRE(allocations.back() == allocations[8]);  // two epochs, an evaluation included
}

TEST_CASE("batches made ahead come by position", "[trainer]") {
  std::atomic<int> made{0};
  BatchAhead<int64_t> ahead(
      [](int64_t epoch) { return epoch % 2 + 2; },
      [&](int64_t epoch, int64_t index) { return ++made, 100 * epoch + index; });
  for (int64_t epoch = 3; epoch < 6; ++epoch)
    for (int64_t i = 0; i < epoch % 2 + 2; ++i) {
      REQUIRE(ahead.get(epoch, i) == 100 * epoch + i);
      REQUIRE(ahead.get(epoch, i) == 100 * epoch + i);
    }
  REQUIRE(made <= 8 + 6);  // once each, and a few ahead
  REQUIRE(ahead.get(0, 1) == 1);
  REQUIRE(ahead.get(9, 2) == 902);
  // Past the end of an epoch there is nothing, however far the thread is.
  REQUIRE(ahead.get(0, 1) == 1);
  REQUIRE_THROWS_SAYING(ahead.get(0, 2), ValueError, "no batch 2 in epoch 0");
  REQUIRE_THROWS_SAYING(ahead.get(0, -1), ValueError, "no batch -1 in epoch 0");
  REQUIRE(ahead.get(1, 0) == 100);
  REQUIRE(ahead.get(1, 1) == 101);
}

TEST_CASE("a batch that cannot be made is an error of the one who asks", "[trainer]") {
  BatchAhead<int64_t> ahead([](int64_t) { return 4; },
                            [](int64_t, int64_t index) {
                              if (index == 2) throw ValueError("torn");
                              return index;
                            });
  REQUIRE(ahead.get(0, 0) == 0);
  REQUIRE(ahead.get(0, 1) == 1);
  REQUIRE_THROWS_SAYING(ahead.get(0, 2), ValueError, "torn");
  REQUIRE(ahead.get(0, 3) == 3);
}

}  // namespace heed::test
