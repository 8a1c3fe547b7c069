// What the batches and the terms of a loss count in an update and in the log.
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/train/toy.h>
#include <heed/train/metrics.h>
#include <heed/train/trainer.h>

namespace heed::test {
using namespace train;

namespace {
// Batch i: the mean over `rows[i]` rows; and, as a term of its own, over the first half of them.
const std::vector<int64_t> kRows = {2, 30, 8};

Tensor rows(int64_t index) {
  int64_t begin = 0;
  for (int64_t i = 0; i < index; ++i) begin += kRows[static_cast<size_t>(i)];
  return Tensor(random_normal({40, 6}, 0, 1, {77, 0}))
      .to(DType::f64)
      .slice(0, begin, begin + kRows[static_cast<size_t>(index)]);
}

struct Weighted {
  Mlp model;
  TrainTask task;
  TempDir dir;

  Weighted() {
    model.to(DType::f64);
    task.batches = [](int64_t) { return 3; };
    task.step = [this](int64_t, int64_t index) { return StepResult(terms(rows(index)), 1); };
    task.weights = [](int64_t, int64_t index) {
      auto count = static_cast<double>(kRows[static_cast<size_t>(index)]);
      return std::vector<double>{count, count / 2};
    };
  }
  std::vector<LossTerm> terms(const Tensor& x) const {
    Tensor y = model.second.forward(tanh(model.first.forward(x)));  // without dropout
    return {{"square", mean(square(y))}, {"half", mean(abs(y.slice(0, 0, x.dim(0) / 2)))}};
  }
  TrainResult run(int64_t accumulate) {
    Sgd optimizer(model.named_parameters(), {});
    TrainerConfig config = quiet(1);
    config.accumulate = accumulate;
    config.log_every = 1;
    config.out_dir = dir;
    config.clip_norm = 0;
    return Trainer(model, optimizer, constant_schedule(0.1), task, config).run();
  }
};
}  // namespace

TEST_CASE("each term's rows count the same, in whichever batch they are", "[trainer]") {
  Weighted split, by_hand;
  split.run(3);
  // The same from sums over all rows.
  Tensor square_sum, half_sum;
  for (int64_t i = 0; i < 3; ++i) {
    auto count = static_cast<double>(kRows[static_cast<size_t>(i)]);
    auto terms = by_hand.terms(rows(i));
    Tensor a = terms[0].loss * (count / 40), b = terms[1].loss * (count / 40);
    square_sum = i ? square_sum + a : a;
    half_sum = i ? half_sum + b : b;
  }
  (square_sum + half_sum).backward();
  for (auto& [name, parameter] : by_hand.model.named_parameters()) {
    Tensor moved = parameter.detach() - parameter.grad() * 0.1;
    Tensor got = split.model.state_dict().at(name);
    CHECK(sum(abs(moved - got)).item() < 1e-14);
  }
  auto line = read_metrics((split.dir / "metrics.jsonl").string()).at(0);
  CHECK(line.at("loss_square") == Approx(square_sum.item()).epsilon(1e-13));
  CHECK(line.at("loss_half") == Approx(half_sum.item()).epsilon(1e-13));
  CHECK(line.at("loss") == Approx(square_sum.item() + half_sum.item()).epsilon(1e-13));
}

TEST_CASE("weights that are none are refused", "[trainer]") {
  auto refused = [](std::vector<double> weights, const char* says) {
    Weighted w;
    w.task.weights = [&](int64_t, int64_t) { return weights; };
    REQUIRE_THROWS_SAYING(w.run(3), ValueError, says);
  };
  refused({}, "epoch 0, batch 0: a finite number of at least 0");
  refused({1, -1}, "at least 0");
  refused({1, std::nan("")}, "finite");
  refused({1}, "1 weights for 2 terms");
  // A term without rows in this update counts nothing.
  Weighted w;
  w.task.weights = [](int64_t, int64_t) { return std::vector<double>{1, 0}; };
  REQUIRE(std::isfinite(w.run(3).loss));
  auto line = read_metrics((w.dir / "metrics.jsonl").string()).at(0);
  CHECK(line.at("loss") == line.at("loss_square"));
}

}  // namespace heed::test
