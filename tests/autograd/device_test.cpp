// Tensors on a device whose memory the host cannot read: everything follows its operands.
#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/gather.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/range_flag.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/recompute.h>
#include <heed/core/device_memory.h>
#include <heed/core/plan.h>
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

TEST_CASE("a gradient is on the device of its tensor") {
  Tensor x = ones({2}).set_requires_grad(true), y = x * 2.0;
  Tensor there = ones({2}, {.device = test_device()});
  REQUIRE_THROWS_SAYING(y.backward(there), DeviceError,
                        "a cotangent on test:0 for an output on cpu");
  REQUIRE_THROWS_SAYING(x.set_grad(there), DeviceError, "a gradient on test:0");
  REQUIRE_THROWS_SAYING(x.set_grad(ones({2}, DType::f64)), DTypeError, "gradient f64");
  x.register_hook([](const Tensor& g, void*) { return g.to(test_device()); }, nullptr);
  REQUIRE_THROWS_SAYING(sum(y).backward(), GradError, "a hook gave [2] f32 on test:0");
  REQUIRE_FALSE(x.grad().defined());
}

TEST_CASE("a plan is copied to a device once") {
  auto copies = [] { return transfer_counts(test_device()).to_device; };
  Array plan = Array::from<int64_t>({4, 1, 7}, {3});
  REQUIRE(plan_on(plan, kCpu).shares_storage(plan));
  Array there = plan_on(plan, test_device());
  int64_t before = copies();
  REQUIRE(plan_on(Array::from<int64_t>({4, 1, 7}, {3}), test_device()).shares_storage(there));
  REQUIRE(copies() == before);
  REQUIRE_FALSE(plan_on(plan.view({3, 1}), test_device()).shares_storage(there));
  REQUIRE_FALSE(plan_on(Array::from<int64_t>({4, 1, 8}, {3}), test_device()).shares_storage(there));
  REQUIRE(copies() == before + 2);
  there = plan_on(plan, test_device());
  NoGrad guard;
  Tensor(there).fill_(0);  // then it is no copy of the plan any more
  REQUIRE(plan_on(plan, test_device()).to(kCpu).data<int64_t>()[2] == 7);
  REQUIRE_THROWS_SAYING(plan_on(there, kCpu), ValueError, "on the CPU expected");
  // What was used longest ago makes room.
  for (size_t i = 0; i < kKeptPlans; ++i)
    plan_on(Array::from<int64_t>({-1, static_cast<int64_t>(i)}, {2}), test_device());
  before = copies();
  plan_on(plan, test_device());
  REQUIRE(copies() == before + 1);
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

namespace {
constexpr int64_t kFar = int64_t{1} << 40;  // where there is no memory

Tensor on_device(const std::vector<int64_t>& values, const Shape& shape) {
  return Tensor::from(values, shape, {.device = test_device()});
}
using List = std::vector<double>;
}  // namespace

TEST_CASE("on a device an index out of range reads 0 and adds nothing") {
  auto leaf = [] {
    return Tensor::from({1, 2, 3, 4, 5, 6}, {3, 2}, {.device = test_device()})
        .set_requires_grad(true);
  };
  auto gradient = [](const Tensor& y, const Tensor& x) {  // in both ways of backward
    List plain = grad({sum(y)}, {x}, {}, {.retain_graph = true})[0].to_vector();
    REQUIRE(grad({sum(y)}, {x}, {}, {.create_graph = true})[0].to_vector() == plain);
    return plain;
  };
  Tensor rows = on_device({2, -1, 0, 3, kFar, -kFar}, {6}), x = leaf();
  for (const Tensor& y : {index_select(x, 0, rows), embedding(x, rows)}) {
    REQUIRE(y.to_vector() == List{5, 6, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0});
    REQUIRE(gradient(y, x) == List{1, 1, 0, 0, 1, 1});
  }
  REQUIRE(out_of_range_seen(test_device()));
  Tensor y = index_select(x, 1, on_device({kFar, 1, 2}, {3}));
  REQUIRE(y.to_vector() == List{0, 2, 0, 0, 4, 0, 0, 6, 0});
  REQUIRE(gradient(y, x) == List{0, 1, 0, 1, 0, 1});

  Tensor each = on_device({1, -1, 0, kFar, 2, 1}, {3, 2});
  y = gather(x, 1, each);
  REQUIRE(y.to_vector() == List{2, 0, 3, 0, 0, 6});
  REQUIRE(gradient(y, x) == List{0, 1, 1, 0, 0, 1});
  Tensor source = leaf();
  y = scatter_add(x, 1, each, source);
  REQUIRE(y.to_vector() == List{1, 3, 6, 4, 5, 12});
  REQUIRE(gradient(y, source) == List{1, 0, 1, 0, 0, 1});
  for (DType dtype : {DType::bf16, DType::i64, DType::f64})
    REQUIRE(scatter_add(x.to(dtype), 1, each, source.to(dtype)).to_vector() == y.to_vector());
  REQUIRE(out_of_range_seen(test_device()));
}

TEST_CASE("on a device a class out of range is ignored") {
  std::vector<int64_t> bad{1, -7, kFar, 4, 0}, ignored{1, -100, -100, -100, 0};
  Tensor logits = randn({5, 4}), weight = randn({4, 4});
  auto run = [&](Device device, const std::vector<int64_t>& target, bool fused,
                 const CrossEntropyOptions& options) {
    Tensor x = logits.to(device).clone().set_requires_grad(true);
    Tensor w = weight.to(device).clone().set_requires_grad(true);
    Tensor t = Tensor::from(target, {5}, {.device = device});
    Tensor loss = fused ? linear_cross_entropy(x, w, Tensor(), t, options)
                        : cross_entropy(matmul(x, w), t, options);
    sum(loss).backward();
    return std::vector<List>{loss.to_vector(), x.grad().to_vector(), w.grad().to_vector()};
  };
  for (bool fused : {false, true})
    for (double smoothing : {0.0, 0.1})
      for (Reduction reduction : {Reduction::mean, Reduction::sum, Reduction::none}) {
        if (fused && reduction == Reduction::none) continue;
        CrossEntropyOptions options{.label_smoothing = smoothing, .reduction = reduction};
        REQUIRE(run(test_device(), bad, fused, options) == run(kCpu, ignored, fused, options));
        REQUIRE(out_of_range_seen(test_device()));
      }
}

TEST_CASE("whoever reads results from a device can refuse those of an index out of range") {
  embedding(zeros({4, 3}, {.device = test_device()}), on_device({0, 4}, {2}));
  REQUIRE_THROWS_SAYING(refuse_out_of_range("search", test_device()), ValueError,
                        "search: an index or target was out of range on test:0");
  refuse_out_of_range("search", test_device());
  refuse_out_of_range("search", kCpu);
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
