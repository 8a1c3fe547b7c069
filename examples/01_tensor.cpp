// Tensors: a shape, numbers of one type, and operations on all of them at once.
#include <iostream>

#include <heed/heed.h>

using namespace heed;

int main() try {
  // From numbers and a shape. f32 unless said otherwise.
  Tensor a = Tensor::from({1, 2, 3, 4, 5, 6}, {2, 3});
  std::cout << "a =\n" << a << "\nshape " << to_string(a.shape()) << "\n\n";

  // Arithmetic goes element by element. Sizes of 1 (or missing ones, on the left) repeat.
  Tensor row = Tensor::from({10, 20, 30}, {3});
  std::cout << "a * 2 + row =\n" << a * 2 + row << "\n\n";

  // Views share the numbers and copy nothing: a row, a column, the transpose.
  std::cout << "a[1] = " << a[1] << "\n";
  std::cout << "second column = " << a.slice(1, 1, 2).squeeze(1) << "\n";
  std::cout << "transposed =\n" << a.transpose(0, 1) << "\n\n";

  // Reductions: over everything, or along one axis.
  std::cout << "sum = " << sum(a).item() << ", mean of each row = " << mean(a, {1}) << "\n\n";

  // Matrix product: [2, 3] x [3, 2] -> [2, 2].
  std::cout << "a a^T =\n" << matmul(a, a.transpose(0, 1)) << "\n\n";

  // Random numbers follow from the seed: the same on every machine.
  manual_seed(1);
  std::cout << "normal numbers: " << randn({4}) << "\n\n";

  // What does not fit is an exception that says why.
  try {
    matmul(a, a);
  } catch (const ShapeError& error) {
    std::cout << "an error: " << error.what() << "\n\n";
  }

  std::cout << config();  // threads, instruction set: what computes all this
} catch (const std::exception& error) {
  std::cerr << "01_tensor: " << error.what() << "\n";
  return 1;
}
