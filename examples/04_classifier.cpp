// A small network that tells three intertwined spirals apart.
#include <cmath>
#include <cstdio>

#include <heed/heed.h>

using namespace heed;

// Points [N, 2] and their arm [N]: arm c starts at angle 2 pi c / 3 and winds outwards.
struct Points {
  Tensor x, arm;
};

Points make_spirals(int64_t per_arm, Generator& random) {
  std::vector<float> x;
  std::vector<int64_t> arm;
  for (int64_t c = 0; c < 3; ++c) {
    for (int64_t i = 0; i < per_arm; ++i) {
      double r = random.uniform();
      double angle = 6 * r + 2 * M_PI * static_cast<double>(c) / 3 + 0.1 * random.normal();
      x.push_back(static_cast<float>(r * std::cos(angle)));
      x.push_back(static_cast<float>(r * std::sin(angle)));
      arm.push_back(c);
    }
  }
  int64_t n = 3 * per_arm;
  return {Tensor::from(x, {n, 2}), Tensor::from(arm, {n})};
}

// A module owns layers and registers them by name; that makes its parameters known.
struct Classifier : nn::Module {
  nn::Linear l1{2, 64}, l2{64, 64}, l3{64, 3};
  Classifier() {
    register_module("l1", l1);
    register_module("l2", l2);
    register_module("l3", l3);
  }
  Tensor forward(const Tensor& x) const {
    Tensor h = relu(l1.forward(x));  // [N, 64]
    h = relu(l2.forward(h));         // [N, 64]
    return l3.forward(h);            // [N, 3], a score for each arm
  }
};

double accuracy(const Classifier& model, const Points& points) {
  NoGrad guard;
  Tensor guess = argmax(model.forward(points.x), 1);  // [N]
  return mean(equal(guess, points.arm).to(DType::f32)).item();
}

// The plane as text: which arm the network sees where.
void draw(const Classifier& model) {
  constexpr int kRows = 21, kColumns = 43;
  std::vector<float> grid;
  for (int i = 0; i < kRows; ++i)
    for (int j = 0; j < kColumns; ++j) {
      grid.push_back(2.0f * static_cast<float>(j) / (kColumns - 1) - 1);
      grid.push_back(1 - 2.0f * static_cast<float>(i) / (kRows - 1));
    }
  NoGrad guard;
  std::vector<double> arm =
      argmax(model.forward(Tensor::from(grid, {kRows * kColumns, 2})), 1).to_vector();
  for (int i = 0; i < kRows; ++i) {
    for (int j = 0; j < kColumns; ++j)
      std::putchar(".o#"[static_cast<int>(arm[static_cast<size_t>(i * kColumns + j)])]);
    std::putchar('\n');
  }
}

int main() try {
  manual_seed(1);
  Generator random(7);
  Points train_points = make_spirals(300, random), test_points = make_spirals(100, random);

  Classifier model;
  std::printf("%s\n", model.summary().c_str());
  train::AdamW optimizer(model.named_parameters());
  nn::CrossEntropyLoss loss_function;  // -log of the probability that the right arm gets

  for (int step = 1; step <= 600; ++step) {
    Tensor loss = loss_function(model.forward(train_points.x), train_points.arm);
    loss.backward();
    optimizer.step(0.01);
    optimizer.zero_grad();
    if (auto failed = optimizer.failed_step())
      throw NumericError(str("step ", *failed, ": the gradients are not finite"));
    if (step % 100 == 0)
      std::printf("step %d  loss %.4f  right on unseen points: %.1f %%\n", step, loss.item(),
                  100 * accuracy(model, test_points));
  }
  draw(model);
} catch (const std::exception& error) {
  std::fprintf(stderr, "04_classifier: %s\n", error.what());
  return 1;
}
