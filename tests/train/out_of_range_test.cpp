// Indices out of range while training on a device other than the CPU: the host asks when it reads.
#include <heed/autograd/ops/index.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/test_device.h>
#include <heed/tests/train/toy.h>

namespace heed::test {
using namespace train;

TEST_CASE("an index out of range on a device ends the run, and says where it was", "[trainer]") {
  bool evaluating = GENERATE(false, true);
  DefaultDevice on(test_device());
  Mlp model;
  AdamW optimizer(model.named_parameters());
  TrainTask task = toy_task(model);
  auto look_up = [] {
    return mean(embedding(ones({4, 2}), Tensor::from(std::vector<int64_t>{4}, {1})));
  };
  if (evaluating) {
    task.evaluate = [&] { return look_up().item(); };
  } else {
    task.step = [&, inner = task.step](int64_t epoch, int64_t index) {
      StepResult result = inner(epoch, index);
      if (index == 2) result.terms[0].loss = result.terms[0].loss + look_up();
      return result;
    };
  }
  REQUIRE_THROWS_SAYING(
      Trainer(model, optimizer, constant_schedule(0.01), task, quiet(1)).run(), ValueError,
      evaluating
          ? "training: evaluation: an index or target was out of range on test:0"
          : "training: an index or target was out of range on test:0 in one of the steps 1 to 3");
}

}  // namespace heed::test
