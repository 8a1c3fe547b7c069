// Gradients: heed records what is computed, and goes back through it by the chain rule.
#include <cmath>
#include <iostream>

#include <heed/heed.h>

using namespace heed;

int main() try {
  // f(x, y) = x^2 y + sin(y), at x = 3, y = 2.
  Tensor x = Tensor::scalar(3, DType::f64).set_requires_grad(true);
  Tensor y = Tensor::scalar(2, DType::f64).set_requires_grad(true);
  Tensor f = x * x * y + sin(y);
  f.backward();  // df/dx and df/dy are now in x.grad() and y.grad()
  std::cout << "f = " << f.item() << "\n";
  std::cout << "df/dx = " << x.grad().item() << "   (2 x y = 12)\n";
  std::cout << "df/dy = " << y.grad().item() << "   (x^2 + cos y = " << 9 + std::cos(2.0)
            << ")\n\n";

  // Gradients add up until they are cleared: what a training loop does before each step.
  (x * 5).backward();
  std::cout << "after another backward of 5 x: " << x.grad().item() << "\n";
  x.zero_grad();

  // Without a graph: for evaluation, and for updating parameters.
  {
    NoGrad guard;
    std::cout << "inside NoGrad, is x * 2 recorded? " << ((x * 2).requires_grad() ? "yes" : "no")
              << "\n\n";
  }

  // Derivatives of derivatives: record the first backward too.
  Tensor cube = x * x * x;
  Tensor first = grad({cube}, {x}, {}, {.create_graph = true})[0];  // 3 x^2
  Tensor second = grad({first}, {x})[0];                            // 6 x
  std::cout << "x^3 at 3: first derivative " << first.item() << ", second " << second.item()
            << "\n\n";

  // Is a gradient right? Compare with differences, in double precision.
  Tensor input = randn({3, 4}, DType::f64).set_requires_grad(true);
  GradcheckResult result =
      gradcheck([](const std::vector<Tensor>& in) { return softmax(in[0], 1); }, {input});
  std::cout << "gradcheck of softmax: " << result.checked << " derivatives, "
            << (result ? "all right" : result.message) << "\n";
} catch (const std::exception& error) {
  std::cerr << "02_autograd: " << error.what() << "\n";
  return 1;
}
