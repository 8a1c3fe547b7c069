// Batch norm's averages in training: one update each batch, none of a step that failed, was
// repeated or never came to its end.
#include <cmath>

#include <heed/autograd/grad_mode.h>
#include <heed/core/device_memory.h>
#include <heed/nn/batch_norm.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/test_device.h>
#include <heed/tests/train/toy.h>
#include <heed/train/running_statistics.h>

namespace heed::test {
using namespace train;

namespace {

struct Normed : nn::Module {
  nn::Linear first{6, 5}, second{5, 3};
  nn::BatchNorm1d norm{5};
  Normed() : first((manual_seed(3), 6), 5) {
    register_module("first", first);
    register_module("norm", norm);
    register_module("second", second);
  }
  Tensor loss(int64_t place) const {
    Tensor x(random_normal({8, 6}, 0, 1, {77, static_cast<uint64_t>(100 * place)}).to(device()));
    return mean(square(second.forward(norm.forward_relu(first.forward(x)))));
  }
};

TrainTask task_of(const Normed& model) {
  TrainTask task;
  task.batches = [](int64_t) { return 6; };
  task.step = [&](int64_t epoch, int64_t index) {
    return StepResult{model.loss(6 * epoch + index), 8};
  };
  return task;
}

std::map<std::string, std::string> running_bits(const nn::Module& model) {
  nn::StateDict state;
  for (const auto& [name, value] : model.running_buffers()) state[name] = value;
  return bits(state);
}

const Schedule kRate = constant_schedule(0.01);

}  // namespace

TEST_CASE("a step that fails leaves running statistics as they were", "[trainer]") {
  bool in_gradient = GENERATE(false, true), elsewhere = GENERATE(false, true);
  bool accumulating = GENERATE(false, true);
  DefaultDevice on(elsewhere ? test_device() : kCpu);
  Normed model;
  AdamW optimizer(model.named_parameters());
  TrainTask task = task_of(model);
  std::map<std::string, std::string> before;
  int64_t forwards = 0;
  auto inner = task.step;
  task.step = [&](int64_t epoch, int64_t index) {
    ++forwards;
    // The second update fails, or with two batches an update its second batch does.
    if (index == (accumulating ? 2 : 1) && before.empty()) before = running_bits(model);
    StepResult result = inner(epoch, index);
    if (index == (accumulating ? 3 : 1)) {
      Tensor zero = model.second.bias * 0.0;
      Tensor& loss = result.terms[0].loss;
      loss = loss + (in_gradient ? mean(sqrt(zero)) : mean(log(zero)));
    }
    return result;
  };
  TrainerConfig config = quiet(1);
  config.accumulate = accumulating ? 2 : 1;
  REQUIRE_THROWS_AS(Trainer(model, optimizer, kRate, task, config).run(), NumericError);
  REQUIRE(forwards >= (accumulating ? 6 : 3));  // the anomaly run is among them
  REQUIRE(model.norm.num_batches_tracked.item() == (accumulating ? 2 : 1));
  REQUIRE(running_bits(model) == before);
}

TEST_CASE("each batch of a good update moves running statistics once", "[trainer]") {
  Device device = GENERATE(false, true) ? test_device() : kCpu;
  DefaultDevice on(device);
  Normed model, by_hand;
  AdamW optimizer(model.named_parameters());
  TrainerConfig config = quiet(1);
  config.accumulate = 2;
  config.max_steps = 1;
  Trainer(model, optimizer, kRate, task_of(model), config).run();
  for (int64_t i = 0; i < 2; ++i) by_hand.loss(i);
  REQUIRE(running_bits(model) == running_bits(by_hand));
  REQUIRE(model.norm.num_batches_tracked.item() == 2);
}

TEST_CASE("an update that throws leaves running statistics as they were", "[trainer]") {
  Normed model;
  AdamW optimizer(model.named_parameters());
  TrainTask task = task_of(model);
  auto inner = task.step;
  std::map<std::string, std::string> before;
  task.step = [&](int64_t epoch, int64_t index) {
    if (index == 2) before = running_bits(model);
    StepResult result = inner(epoch, index);
    if (index == 3) throw IoError("a picture that cannot be read");
    return result;
  };
  TrainerConfig config = quiet(1);
  config.accumulate = 2;
  REQUIRE_THROWS_AS(Trainer(model, optimizer, kRate, task, config).run(), IoError);
  REQUIRE(running_bits(model) == before);
}

TEST_CASE("evaluation in training leaves running statistics alone", "[trainer]") {
  Normed model, without;
  for (Normed* m : {&model, &without}) {
    AdamW optimizer(m->named_parameters());
    TrainTask task = task_of(*m);
    TrainerConfig config = quiet(1);
    if (m == &model) {
      task.evaluate = [&] { return m->loss(99).item(); };
      config.eval_every = 1;
    }
    Trainer(*m, optimizer, kRate, task, config).run();
  }
  REQUIRE(bits(model.state_dict()) == bits(without.state_dict()));
  REQUIRE(model.norm.num_batches_tracked.item() == 6);
}

TEST_CASE("a run that goes on has the running statistics of one that did not stop", "[trainer]") {
  Normed whole, stopped;
  auto train = [](Normed& model, TrainerConfig config) {
    AdamW optimizer(model.named_parameters());
    Trainer(model, optimizer, kRate, task_of(model), config).run();
  };
  train(whole, quiet(2));
  TempDir dir;
  TrainerConfig config = quiet(1);
  config.out_dir = dir;
  train(stopped, config);
  Normed resumed;
  config.epochs = 2;
  config.resume = true;
  train(resumed, config);
  REQUIRE(bits(resumed.state_dict()) == bits(whole.state_dict()));
}

TEST_CASE("a loop of one's own takes running statistics back, and reads nothing", "[trainer]") {
  DefaultDevice on(test_device());
  Normed model;
  Sgd optimizer(model.named_parameters());
  RunningStatistics running(model);
  auto step = [&](int64_t place, bool fails) {
    running.keep();
    Tensor loss = model.loss(place);
    if (fails) loss = loss * NAN;
    loss.backward();
    optimizer.watch(loss);
    optimizer.step(0.1);
    running.undo_if_failed(optimizer);
    optimizer.zero_grad();
  };
  step(0, false);
  auto before = running_bits(model);
  auto read = transfer_counts(test_device()).to_host;
  step(1, true);
  step(2, false);  // a failed step was before it
  REQUIRE(transfer_counts(test_device()).to_host == read);
  REQUIRE(running_bits(model) == before);
  optimizer.forget_failure();
  step(3, false);
  REQUIRE(model.norm.num_batches_tracked.item() == 2);
}

}  // namespace heed::test
