// The handle: creation, slicing, values, printing.
#include <cmath>
#include <sstream>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tensor.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

TEST_CASE("creation", "[tensor]") {
  CHECK(zeros({2, 2}).to_vector() == std::vector<double>(4, 0));
  CHECK(ones({2}, DType::i32).to_vector() == std::vector<double>{1, 1});
  CHECK(full({2}, 2.5).to_vector() == std::vector<double>{2.5, 2.5});
  CHECK(arange(3).dtype() == DType::i64);
  CHECK(arange(3, DType::f32).to_vector() == std::vector<double>{0, 1, 2});
  CHECK(eye(2).to_vector() == std::vector<double>{1, 0, 0, 1});
  CHECK(eye(0).numel() == 0);
  CHECK(Tensor::scalar(1.5).rank() == 0);
  manual_seed(3);
  Tensor a = randn({100}), b = rand({100});
  manual_seed(3);
  CHECK(randn({100}).to_vector() == a.to_vector());
  for (double v : b.to_vector()) CHECK((v >= 0 && v < 1));
}

TEST_CASE("a handle is the tensor, a clone is another", "[tensor]") {
  Tensor x = Tensor::from({1, 2}, {2});
  Tensor same = x, other = x.clone();
  x.fill_(5);
  CHECK(same.to_vector() == std::vector<double>{5, 5});
  CHECK(other.to_vector() == std::vector<double>{1, 2});
}

TEST_CASE("slices are views", "[tensor]") {
  Tensor x = arange(12).reshape({3, 4});
  CHECK(x[1].to_vector() == std::vector<double>{4, 5, 6, 7});
  CHECK(x[-1][2].item() == 10);
  CHECK(x.slice(1, 1, 4, 2).to_vector() == std::vector<double>{1, 3, 5, 7, 9, 11});
  CHECK(x.slice(0, -2, 100).shape() == Shape{2, 4});
  CHECK(x.slice(0, 2, 1).shape() == Shape{0, 4});
  CHECK(x.transpose(0, 1).array().shares_storage(x.array()));
  x[0].fill_(9);
  CHECK(x.to_vector()[3] == 9);
  CHECK(x.transpose(0, 1).reshape({12}).to_vector()[1] == 4);  // no view: a copy
}

TEST_CASE("a quotient is rounded once", "[tensor]") {
  CHECK((zeros({1}, DType::f64) / 1e-310).item() == 0);
  for (float x : {7.0f, 5.0f, 0.3f}) {
    CHECK(float((Tensor::from({x}, {1}) / 49.0).item()) == x / 49.0f);
    CHECK(float((x / Tensor::from({49}, {1})).item()) == x / 49.0f);
  }
}

TEST_CASE("conversion between types", "[tensor]") {
  Tensor x = Tensor::from({-1.7f, 0, 2.9f}, {3});
  CHECK(x.to(DType::i64).to_vector() == std::vector<double>{-1, 0, 2});
  CHECK(x.to(DType::boolean).to_vector() == std::vector<double>{1, 0, 1});
  CHECK(Tensor::scalar(1.00390625).to(DType::bf16).item() == 1);  // half to even
  CHECK(x.to(DType::f32).impl() == x.impl());
  Tensor w = ones({2}).set_requires_grad(true);
  CHECK(w.to(DType::f64).requires_grad());
  CHECK_FALSE(w.to(DType::i64).requires_grad());
}

TEST_CASE("set_value gives all handles another value", "[tensor]") {
  Tensor x = ones({2}).set_requires_grad(true), handle = x;
  x.set_value(zeros({2}, DType::f64).array());
  CHECK(handle.dtype() == DType::f64);
  CHECK(handle.requires_grad());
  CHECK_THROWS_AS(x.set_value(zeros({3}).array()), ShapeError);
}

TEST_CASE("printing", "[tensor][print]") {
  auto text = [](const Tensor& t) { return to_string(t); };
  CHECK(text(Tensor::from({2, 4, 6}, {3})) == "Tensor([2, 4, 6], f32)");
  CHECK(text(Tensor::from({1, 2, 3, 4}, {2, 2})) == "Tensor([[1, 2],\n        [3, 4]], f32)");
  CHECK(text(Tensor::from({0.5f, -10.25f}, {2})) == "Tensor([  0.50, -10.25], f32)");
  CHECK(text(Tensor::scalar(3.14159265, DType::f64)) == "Tensor(3.1416, f64)");
  CHECK(text(Tensor::scalar(7)) == "Tensor(7, f32)");
  CHECK(text(zeros({0})) == "Tensor([], f32)");
  CHECK(text(zeros({0, 3}, DType::i32)) == "Tensor([], shape=[0, 3], i32)");
  CHECK(text(less(Tensor::from({0, 2}, {2}), 1.0)) == "Tensor([ true, false], bool)");
  CHECK(text(Tensor::from(std::vector<int64_t>{9007199254740993, -1}, {2})) ==
        "Tensor([9007199254740993,               -1], i64)");
  CHECK(text(Tensor::from({1, NAN, -INFINITY}, {3})) == "Tensor([   1,  nan, -inf], f32)");
  CHECK(text(Tensor::from({1e-8f, 1}, {2})) == "Tensor([1.0000e-08, 1.0000e+00], f32)");
  CHECK(text(Tensor()) == "Tensor(undefined)");
  CHECK(text(arange(8).reshape({2, 2, 2})) ==
        "Tensor([[[0, 1],\n         [2, 3]],\n\n        [[4, 5],\n         [6, 7]]], i64)");
  CHECK(text(arange(2000)) ==
        "Tensor([   0,    1,    2, ..., 1997, 1998, 1999], i64, shape=[2000])");
  CHECK(text(ones({2}, DType::bf16)) == "Tensor([1, 1], bf16)");
  std::string large = text(zeros({1000, 1000}));
  CHECK(std::count(large.begin(), large.end(), '\n') == 6);
  std::string row = text(arange(40));  // a long row wraps
  CHECK(row.find('\n') != std::string::npos);
  std::ostringstream out;
  out << Tensor::from({1}, {1});
  CHECK(out.str() == "Tensor([1], f32)");
}

TEST_CASE("bf16 and its gradients", "[tensor]") {
  Tensor x = Tensor::from({1, 2, 3}, {3});
  x.set_requires_grad(true);
  Tensor low = x.to(DType::bf16), wide = low.to(DType::f64);
  CHECK(low.dtype() == DType::bf16);
  sum(wide * wide).backward();
  CHECK(x.grad().dtype() == DType::f32);
  CHECK(x.grad().to_vector() == std::vector<double>{2, 4, 6});

  Tensor leaf = full({2}, 1.5, DType::bf16);
  leaf.set_requires_grad(true);
  sum(leaf * leaf).backward();
  CHECK(leaf.grad().dtype() == DType::bf16);
  CHECK(leaf.grad().to_vector() == std::vector<double>{3, 3});
}

TEST_CASE("bf16 rounds to nearest even in kernels, keeps NaN quiet and -0", "[tensor]") {
  // Through a vector, a remainder and strides alike: 1 + 2^-8 is a tie, down to even.
  std::vector<float> values;
  for (float v : {1 + 0x1p-8F, 1 + 3 * 0x1p-8F, 1 + 0x1.02p-8F, -0.0F, INFINITY, NAN})
    for (int i = 0; i < 7; ++i) values.push_back(v);
  Tensor x = Tensor::from(values, {42});
  for (const Tensor& y : {x.to(DType::bf16), x.to(DType::bf16) * ones({42}, DType::bf16),
                          x.reshape({6, 7}).transpose(0, 1).to(DType::bf16).transpose(0, 1)}) {
    Array bits = y.contiguous().array();
    for (size_t i = 0; i < values.size(); ++i)
      CHECK(bits.data<bfloat16>()[i].bits == to_bfloat16(values[i]).bits);
  }
}
