// The smallest training there is: find w and b of y = w x + b from noisy points.
#include <cstdio>

#include <heed/heed.h>

using namespace heed;

int main() try {
  manual_seed(1);

  // The data: 200 points of y = 3 x - 2, with noise.
  Tensor x = rand({200, 1}) * 4 - 2;                 // [200, 1], in [-2, 2)
  Tensor y = x * 3.0 - 2.0 + randn({200, 1}) * 0.3;  // [200, 1]

  // The model: one weight, one bias. Linear computes x W^T + b.
  nn::Linear model(1, 1);
  train::Sgd optimizer(model.named_parameters());

  for (int step = 1; step <= 100; ++step) {
    Tensor loss = mse_loss(model.forward(x), y);  // how wrong: the mean of (prediction - y)^2
    loss.backward();                              // in which direction each parameter is wrong
    optimizer.step(0.1);                          // a step of 0.1 against that direction
    optimizer.zero_grad();
    if (step == 1 || step % 20 == 0) std::printf("step %3d  loss %.4f\n", step, loss.item());
  }
  std::printf("w = %.2f (true: 3), b = %.2f (true: -2)\n", model.weight.item(), model.bias.item());
} catch (const std::exception& error) {
  std::fprintf(stderr, "03_linear_regression: %s\n", error.what());
  return 1;
}
