// What a wrong call says: the op, what was expected and what came.
#include <functional>

#include <heed/autograd/backward.h>
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/attention.h>
#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/dropout.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/gather.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/norm.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

namespace {

struct BadCall {
  std::function<void()> call;
  std::vector<const char*> says;
};

// Each call throws E, whose message holds all the parts.
template <class E>
void refuse(const std::vector<BadCall>& calls) {
  for (const BadCall& bad : calls) {
    INFO(bad.says[0] << " " << bad.says[1]);
    try {
      bad.call();
      FAIL_CHECK("nothing thrown");
    } catch (const E& error) {
      for (const char* part : bad.says)
        CHECK_THAT(std::string(error.what()), ContainsSubstring(part));
    } catch (const std::exception& other) {
      FAIL_CHECK("another type: " << other.what());
    }
  }
}

const Tensor a23 = zeros({2, 3}), a24 = zeros({2, 4}), a5 = zeros({5});
Tensor ids(std::vector<int64_t> values) {
  auto n = static_cast<int64_t>(values.size());
  return Tensor::from(values, {n});
}

}  // namespace

TEST_CASE("wrong shapes and axes", "[bad_input]") {
  refuse<ShapeError>({
      {[] { add(a23, a24); }, {"add", "[2, 3]", "[2, 4]"}},
      {[] { mul(a23, a5); }, {"mul", "[2, 3]", "[5]"}},
      {[] { where(less(a23, a23), a24, a23); }, {"where", "[2, 4]"}},
      {[] { matmul(a23, a24); }, {"matmul", "[2, 3]", "[2, 4]"}},
      {[] {
         matmul(zeros({2, 2, 3}), zeros({3, 3, 2}));
       },
       {"matmul", "[2, 2, 3]", "[3, 3, 2]"}},
      {[] { linear(a23, a24); }, {"linear", "[2, 3]", "[2, 4]"}},
      {[] { reshape(a23, {4}); }, {"reshape", "[2, 3]", "[4]"}},
      {[] {
         reshape(a23, {-1, -1});
       },
       {"reshape", "[-1, -1]"}},
      {[] {
         reshape(a23, {-1, 4});
       },
       {"reshape", "[2, 3]", "[-1, 4]"}},
      {[] {
         reshape(zeros({0}), {0, -1});
       },
       {"reshape", "[0, -1]"}},
      {[] { permute(a23, {0}); }, {"permute", "[0]", "[2, 3]"}},
      {[] {
         permute(a23, {1, 1});
       },
       {"permute", "[1, 1]"}},
      {[] { transpose(a23, 0, 2); }, {"transpose", "axis 2"}},
      {[] {
         broadcast_to(a23, {4, 3});
       },
       {"broadcast_to", "[2, 3]", "[4, 3]"}},
      {[] { squeeze(a23, 0); }, {"squeeze", "[2, 3]"}},
      {[] { unsqueeze(a23, 4); }, {"unsqueeze", "axis 4"}},
      {[] { select(a23, 1, 3); }, {"select", "index 3", "[2, 3]"}},
      {[] { select(a23, 0, -3); }, {"select", "index -3", "[2, 3]"}},
      {[] { slice(a23, 2, 0, 1); }, {"slice", "axis 2"}},
      {[] {
         split(a23, 1, std::vector<int64_t>{1, 1});
       },
       {"split", "add up to 2", "[2, 3]"}},
      {[] {
         concat({a23, a24}, 0);
       },
       {"concat", "[2, 3]", "[2, 4]"}},
      {[] {
         concat({a23, a5}, 0);
       },
       {"concat", "[5]"}},
      {[] {
         stack({a23, a24}, 0);
       },
       {"stack", "[2, 3]", "[2, 4]"}},
      {[] { sum(a23, {2}); }, {"sum", "axis 2"}},
      {[] {
         mean(a23, {0, -2});
       },
       {"mean", "axis -2", "twice", "[2, 3]"}},
      {[] {
         max(zeros({2, 0}), 1);
       },
       {"max", "[2, 0]", "empty"}},
      {[] {
         logsumexp(zeros({0, 2}), 0);
       },
       {"logsumexp", "[0, 2]", "empty"}},
      {[] { cumsum(a23, -3); }, {"cumsum", "axis -3"}},
      {[] { sum_to(a23, {4}); }, {"sum_to", "[2, 3]", "[4]"}},
      {[] { softmax(a23, 2); }, {"softmax", "axis 2"}},
      {[] {
         index_select(a23, 0, zeros({1, 1}, DType::i64));
       },
       {"index_select", "rank 1", "[1, 1]"}},
      {[] {
         gather(a23, 0, zeros({2, 2}, DType::i64));
       },
       {"gather", "[2, 2]", "[2, 3]"}},
      {[] {
         scatter_add(a23, 0, zeros({1, 3}, DType::i64), zeros({2, 3}));
       },
       {"scatter_add", "[2, 3]", "[1, 3]"}},
      {[] { embedding(a5, ids({0})); }, {"embedding", "[V, D]", "[5]"}},
      {[] { a23.item(); }, {"item", "[2, 3]"}},
      {[] {
         zeros({1, 2, 3, 4, 5, 6, 7, 8}).unsqueeze(0);
       },
       {"rank 9", "8"}},
      {[] {
         Tensor::from(std::vector<float>{1, 2}, {3});
       },
       {"2 values", "[3]"}},
  });
}

TEST_CASE("f16 is refused by name, with what to do", "[bad_input]") {
  const Tensor half = zeros({2, 3}, DType::f16), row = zeros({3}, DType::f16);
  const Tensor heads = zeros({1, 1, 2, 3}, DType::f16), classes = ids({0, 1});
  const char* advice = "f16 is a storage type on the CPU; convert to f32 or bf16";
  refuse<DTypeError>({
      {[&] { add(half, half); }, {"add: ", advice}},
      {[&] { half * 2.0; }, {"affine: ", advice}},
      {[&] { half / 2.0; }, {"div: ", advice}},
      {[&] { exp(half); }, {"exp: ", advice}},
      {[&] { less(half, half); }, {"less: ", advice}},
      {[&] { sum(half); }, {"sum: ", advice}},
      {[&] { mean(half); }, {"mean: ", advice}},
      {[&] { cumsum(half, 0); }, {"cumsum: ", advice}},
      {[&] { max(half, 0); }, {"max: ", advice}},
      {[&] { sort(half); }, {"sort: ", advice}},
      {[&] { matmul(half, half.transpose(0, 1)); }, {"matmul: ", advice}},
      {[&] { linear(half, half); }, {"linear: ", advice}},
      {[&] { softmax(half, 0); }, {"softmax: ", advice}},
      {[&] { layer_norm(half, row, row); }, {"layer_norm: ", advice}},
      {[&] { dropout(half, 0.5); }, {"dropout: ", advice}},
      {[&] { cross_entropy(half, classes); }, {"cross_entropy: ", advice}},
      {[&] {
         scatter_add(half, 0, zeros({2, 3}, DType::i64), half);
       },
       {"scatter_add: ", advice}},
      {[&] { fused_attention(heads, heads, heads, {}, {}); }, {"attention: q: ", advice}},
      {[&] { rand({2}, DType::f16); }, {"random_uniform: ", advice}},
      {[&] { Tensor(half).set_requires_grad(true); }, {"set_requires_grad: ", advice}},
  });
}

TEST_CASE("wrong element types", "[bad_input]") {
  const Tensor wide = zeros({2, 3}, DType::f64), whole = zeros({2, 3}, DType::i64);
  refuse<DTypeError>({
      {[&] { add(a23, wide); }, {"add", "f32", "f64"}},
      {[&] { exp(whole); }, {"exp", "i64"}},
      {[&] { whole / 2.0; }, {"div", "f32, f64 or bf16", "i64"}},
      {[&] { 2.0 / whole; }, {"div", "f32, f64 or bf16", "i64"}},
      {[&] { whole / whole; }, {"div", "floating-point", "i64"}},
      {[&] { pow(whole, 2.0); }, {"pow", "f32, f64 or bf16", "i64"}},
      {[&] { whole * 0.5; }, {"0.5", "i64", "whole number"}},
      {[&] { less(whole, 2.5); }, {"less: 2.5", "i64", "whole number"}},
      {[&] { where(equal(whole, 1.0), whole, 0.5); }, {"where: 0.5", "i64", "whole number"}},
      {[&] { less(a23, whole); }, {"less", "f32", "i64"}},
      {[&] { where(a23, a23, a23); }, {"where", "bool", "f32"}},
      {[&] { matmul(whole, whole.transpose(0, 1)); }, {"matmul", "i64"}},
      {[&] { mean(whole); }, {"mean", "i64"}},
      {[&] {
         concat({a23, wide}, 0);
       },
       {"concat", "f32", "f64"}},
      {[&] { index_select(a23, 0, zeros({1})); }, {"index_select", "i64", "f32"}},
      {[&] { scatter_add(a23, 0, whole, wide); }, {"scatter_add", "f64", "f32"}},
      {[&] { softmax(whole, 0); }, {"softmax", "i64"}},
      {[&] { gradcheck([](auto& in) { return in[0]; }, {zeros({1}).set_requires_grad(true)}); },
       {"gradcheck", "f32"}},
  });
}

TEST_CASE("undefined tensors", "[bad_input]") {
  Tensor w = zeros({2}).set_requires_grad(true), none;
  refuse<ValueError>({
      {[&] { w.grad() * 2.0; }, {"undefined tensor", "gradient before backward"}},
      {[&] { none.item(); }, {"undefined tensor", "no value"}},
      {[&] { none.shape(); }, {"undefined tensor", "no value"}},
      {[&] { none.detach(); }, {"undefined tensor", "no value"}},
      {[&] { none.fill_(1); }, {"undefined tensor", "no value"}},
      {[&] { none.set_requires_grad(true); }, {"undefined tensor", "no value"}},
      {[&] { none.set_value(w.array()); }, {"undefined tensor", "no value"}},
      {[&] { zeros({2}).copy_(none); }, {"undefined tensor", "no value"}},
      {[&] { add(w, none); }, {"undefined tensor", "no value"}},
      {[&] { matmul(none, w); }, {"undefined tensor", "no value"}},
      {[&] {
         concat({w, none}, 0);
       },
       {"undefined tensor", "no value"}},
      {[&] { softmax(none, 0); }, {"undefined tensor", "no value"}},
      {[&] { where(none, w, w); }, {"undefined tensor", "no value"}},
  });
}

TEST_CASE("values out of range", "[bad_input]") {
  refuse<ValueError>({
      {[] {
         index_select(a23, 1, ids({0, 3}));
       },
       {"index_select", "index 3", "[1] of [2]", "[0, 3)"}},
      {[] { index_select(a23, 1, ids({-1})); }, {"index_select", "index -1", "[0]"}},
      {[] {
         index_select(a23, 1, {0, 3});
       },
       {"index_select", "index 3", "[1] of [2]", "[0, 3)"}},
      {[] {
         gather(a23, 0, Tensor::from(std::vector<int64_t>{0, 1, 0, 0, 0, 2}, {2, 3}));
       },
       {"gather", "index 2", "[1, 2] of [2, 3]", "[0, 2)"}},
      {[] { scatter_add(a5, 0, ids({5}), zeros({1})); }, {"scatter_add", "index 5", "[0, 5)"}},
      {[] {
         embedding(a23, ids({0, 1, 2}));
       },
       {"embedding", "index 2", "[2] of [3]", "[0, 2)"}},
      {[] { embedding(a23, ids({0}), 2); }, {"embedding", "padding", "2"}},
      {[] { topk(a23, 4); }, {"topk", "k = 4", "[2, 3]"}},
      {[] { topk(a23, -1); }, {"topk", "k = -1"}},
      {[] { slice(a23, 0, 0, 2, 0); }, {"slice", "step 0"}},
      {[] { split(a23, 0, int64_t{0}); }, {"split", "size 0"}},
      {[] { pad(a23, 0, -1, 0); }, {"pad", "-1"}},
      {[] { concat({}, 0); }, {"concat", "no parts"}},
      {[] { stack({}, 0); }, {"stack", "no parts"}},
      {[] { arange(-1); }, {"arange", "-1"}},
  });
}
