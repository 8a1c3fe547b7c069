// Tensors on a device whose memory the host cannot read: everything follows its operands.
#include <heed/autograd/backward.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/range_flag.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/recompute.h>
#include <heed/core/device_memory.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/test_device.h>

using namespace heed;
using heed::test::test_device;

TEST_CASE("creation functions take a dtype and a device, else the defaults") {
  Device device = test_device();
  Tensor x = zeros({2, 3}, {.dtype = DType::f64, .device = device});
  REQUIRE(x.dtype() == DType::f64);
  REQUIRE(x.device() == device);
  REQUIRE(x.to_vector() == std::vector<double>(6, 0));
  REQUIRE(ones({2}, {.device = device}).to_vector() == std::vector<double>{1, 1});
  REQUIRE(eye(2, {.device = device}).to_vector() == std::vector<double>{1, 0, 0, 1});
  REQUIRE(arange(3, {.device = device}).dtype() == DType::i64);
  REQUIRE(Tensor::from({1, 2}, {2}, {.device = device}).device() == device);
  manual_seed(3);
  std::vector<double> here = randn({5}).to_vector();
  manual_seed(3);
  REQUIRE(randn({5}, {.device = device}).to_vector() == here);

  DefaultDevice on(device);
  DefaultDType wide(DType::f64);
  for (const Tensor& t :
       {zeros({2}), full({2}, 3), eye(2), rand({2}), Tensor::from({1.f}, {1}), Tensor::scalar(2)}) {
    REQUIRE(t.device() == device);
    REQUIRE(t.dtype() == DType::f64);
  }
  REQUIRE(zeros({2}, {.device = kCpu}).device() == kCpu);
  REQUIRE(Tensor::from(std::vector<int64_t>{1}, {1}).dtype() == DType::i64);
}

TEST_CASE("to(device) is differentiable, both ways") {
  Tensor x = Tensor::from({1, 2, 3}, {3}).set_requires_grad(true);
  Tensor y = x.to(test_device());
  REQUIRE(y.device() == test_device());
  sum(y * y).backward();
  REQUIRE(x.grad().device() == kCpu);
  REQUIRE(x.grad().to_vector() == std::vector<double>{2, 4, 6});
  REQUIRE(x.to(kCpu).impl() == x.impl());
  Tensor strided = Tensor::from({1, 2, 3, 4}, {2, 2}).transpose(0, 1).to(test_device());
  REQUIRE(strided.to_vector() == std::vector<double>{1, 3, 2, 4});
}

TEST_CASE("operands on two devices are an error that names the op and both") {
  Tensor here = ones({2, 2}), there = ones({2, 2}, {.device = test_device()});
  REQUIRE_THROWS_SAYING(here + there, DeviceError, "add: operands on two devices, cpu and test:0");
  REQUIRE_THROWS_SAYING(matmul(there, here), DeviceError, "matmul: operands on two devices");
  REQUIRE_THROWS_SAYING(where(greater(there, 0.0), here, there), DeviceError, "where");
  REQUIRE_THROWS_SAYING(index_select(there, 0, Tensor::from(std::vector<int64_t>{1}, {1})),
                        DeviceError, "index_select");
}

TEST_CASE("an index out of range sets a flag that stays until the host asks") {
  Device device = test_device();
  Tensor table = randn({4, 3}, {.device = device});
  Tensor good = Tensor::from(std::vector<int64_t>{0, 3}, {2}, {.device = device});
  Tensor bad = Tensor::from(std::vector<int64_t>{0, 4}, {2}, {.device = device});
  embedding(table, good);
  REQUIRE_FALSE(out_of_range_seen(device));
  TransferCounts before = transfer_counts(device);
  embedding(table, bad);
  embedding(table, good);
  REQUIRE(transfer_counts(device).to_host == before.to_host);
  REQUIRE(out_of_range_seen(device));
  REQUIRE_FALSE(out_of_range_seen(device));
  Tensor logits = randn({2, 4}, {.device = device});
  cross_entropy(logits, bad, {.ignore_index = 4});
  REQUIRE_FALSE(out_of_range_seen(device));
  REQUIRE_THROWS_SAYING(embedding(table.to(kCpu), bad.to(kCpu)), ValueError, "index 4");
  REQUIRE_FALSE(out_of_range_seen(kCpu));
}

TEST_CASE("a gradient stays on its tensor's device, whatever the defaults are") {
  Tensor x = randn({3, 4}, {.device = test_device()}).set_requires_grad(true);
  Tensor w = randn({4, 2}, {.device = test_device()}).set_requires_grad(true);
  TransferCounts before = transfer_counts(test_device());
  Tensor y = sum(relu(matmul(x, w) * 2.0 - 1.0) / 3.0);
  y.backward();
  REQUIRE(transfer_counts(test_device()).to_host == before.to_host);
  REQUIRE(x.grad().device() == test_device());
  REQUIRE(w.grad().device() == test_device());
  y.item();
  REQUIRE(transfer_counts(test_device()).to_host == before.to_host + 1);
}

TEST_CASE("copy_ crosses devices, fill_ and printing work on one") {
  Tensor there = zeros({2}, {.device = test_device()});
  there.copy_(Tensor::from({5, 6}, {2}));
  REQUIRE(there.to_vector() == std::vector<double>{5, 6});
  Tensor here = zeros({2});
  here.copy_(there);
  REQUIRE(here.to_vector() == std::vector<double>{5, 6});
  there.fill_(4);
  REQUIRE(to_string(there) == "Tensor([4, 4], f32, test:0)");
}

TEST_CASE("a recomputed function runs again where it ran") {
  DefaultDevice on(test_device());
  Tensor x = Tensor::from({1, 2}, {2}).set_requires_grad(true);
  auto f = [](const std::vector<Tensor>& in) { return in[0] * in[0] * full({2}, 3); };
  Tensor y = recompute(f, {x});
  sum(y).backward();
  REQUIRE(x.grad().to_vector() == std::vector<double>{6, 12});
}
