// What the trainer does where a step fails, and what it refuses.
#include <cmath>

#include <heed/core/device_memory.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/test_device.h>
#include <heed/tests/train/toy.h>
#include <heed/train/trainer.h>

namespace heed::test {
using namespace train;

namespace {
const Schedule kSchedule = inverse_sqrt_schedule(0.02, 5);
}

TEST_CASE("an optimizer whose step failed before is refused", "[trainer]") {
  Mlp model;
  AdamW optimizer(model.named_parameters());
  optimizer.watch(full({}, NAN));
  optimizer.step(0.1);
  TrainTask task = toy_task(model);
  REQUIRE_THROWS_SAYING(Trainer(model, optimizer, kSchedule, task, quiet(1)).run(), ValueError,
                        "step 1 of the optimizer failed before this run");
}

TEST_CASE("a loss that is not finite stops the run and harms nothing", "[trainer]") {
  bool in_gradient = GENERATE(false, true);
  bool elsewhere = GENERATE(false, true);
  Device device = elsewhere ? test_device() : kCpu;
  DefaultDevice on(device);
  TempDir dir;
  Mlp model;
  AdamW optimizer(model.named_parameters());
  TrainTask task = toy_task(model);
  std::map<std::string, std::string> before;
  auto inner = task.step;
  task.step = [&](int64_t epoch, int64_t index) {
    StepResult result = inner(epoch, index);
    if (epoch == 1 && index == 3) {
      before = bits(model.state_dict());
      // log(0) = -inf; or sqrt(0), whose value is finite and whose derivative is not.
      Tensor zero = model.second.bias * 0.0;
      Tensor& loss = result.terms[0].loss;
      loss = loss + (in_gradient ? mean(sqrt(zero)) : mean(log(zero)));
    }
    return result;
  };
  TrainerConfig config = quiet(10);
  config.out_dir = dir;
  config.clip_norm = in_gradient ? 0 : 1;  // gradients are looked at without clipping too
  Trainer trainer(model, optimizer, kSchedule, task, config);
  std::string message;
  try {
    trainer.run();
  } catch (const NumericError& error) {
    message = error.what();
  }
  INFO(message);
  REQUIRE_THAT(message, ContainsSubstring("step 11 (epoch 1, batch 3)"));
  REQUIRE_THAT(message, ContainsSubstring(in_gradient ? "sqrt" : "log"));
  REQUIRE_THAT(message, ContainsSubstring("last checkpoint is of step 7"));
  REQUIRE(bits(model.state_dict()) == before);
  Mlp other(9);
  REQUIRE(load_checkpoint(find_checkpoint(dir), other).step == 7);
}

TEST_CASE("the trainer refuses what has no meaning", "[trainer]") {
  Mlp model;
  AdamW optimizer(model.named_parameters());
  auto refused = [&](auto change, const char* part) {
    TrainTask task = toy_task(model);
    TrainerConfig config = quiet(1);
    change(task, config);
    REQUIRE_THROWS_SAYING(Trainer(model, optimizer, kSchedule, task, config).run(), Error, part);
  };
  refused([](auto&, auto& c) { c.epochs = 0; }, "a limit is needed");
  refused([](auto&, auto& c) { c.accumulate = 0; }, "accumulate >= 1");
  refused([](auto&, auto& c) { c.clip_norm = -1; }, "clip_norm");
  refused([](auto& t, auto& c) { c.patience = 1, t.evaluate = nullptr; }, "patience needs");
  refused([](auto&, auto& c) { c.resume = true; }, "resume needs out_dir");
  refused([](auto& t, auto&) { t.step = nullptr; }, "task.step");
  refused([](auto& t, auto&) { t.batches = [](int64_t) { return 0; }; }, "has no batches");
  auto returns = [](StepResult result) {
    return [=](auto& t, auto&) { t.step = [=](int64_t, int64_t) { return result; }; };
  };
  refused(returns({zeros({2}), 1}), "got [2]");
  refused(returns({}), "got none");
  refused(returns({Tensor(), 1}), "an undefined tensor");

  TempDir dir;
  auto in_dir = [&](auto&, auto& c) { c.out_dir = dir; };
  TrainerConfig config = quiet(1);
  config.out_dir = dir;
  Trainer(model, optimizer, kSchedule, toy_task(model), config).run();
  refused(in_dir, "already holds checkpoints");
  refused(
      [&](auto& t, auto& c) {
        c.out_dir = dir, c.resume = true, c.epochs = 2;
        t.batches = [](int64_t) { return 4; };
      },
      "other data or another batch size");
}

}  // namespace heed::test
