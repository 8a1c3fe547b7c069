// gradcheck must accept what is right and, above all, reject what is wrong.
#include <heed/autograd/gradcheck.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/autograd/ops/views.h>
#include <heed/autograd/tape.h>
#include <heed/core/random.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::test;

namespace {

// exp with a derivative that is wrong by `factor`, or right and then not differentiable further.
struct WrongExp {
  static constexpr const char* name = "wrong_exp";
  static constexpr unsigned saves = kOutput;
  double factor;
  bool once;
  Array forward(Inputs in) { return exp(in.tensor(0).detach()).array(); }
  void vjp(Vjp& v) {
    Tensor y = once ? v.output().detach() : v.output();
    v.add(0, v.cotangent() * y * factor);
  }
};

CheckedFunction wrong(double factor, bool once = false) {
  return [=](const std::vector<Tensor>& in) { return apply(WrongExp{factor, once}, in[0]); };
}

std::vector<Tensor> point(const Shape& shape = {2, 3}) {
  return {Tensor(random_normal(shape, 0, 1, {4, 0}, DType::f64)).set_requires_grad(true)};
}

}  // namespace

TEST_CASE("a right derivative passes", "[gradcheck]") {
  GradcheckResult r = gradcheck(wrong(1), point());
  CHECK(r);
  CHECK(r.checked == 6);
  CHECK(r.worst < 1);
  CHECK(gradgradcheck(wrong(1), point()));
}

TEST_CASE("a derivative that is wrong by one per cent fails, and the message says where",
          "[gradcheck]") {
  for (double factor : {1.01, 0.99, -1.0, 0.0, 2.0}) {
    GradcheckResult r = gradcheck(wrong(factor), point());
    CHECK_FALSE(r);
    CHECK(r.worst > 1);
    CHECK_THAT(r.message, ContainsSubstring("input 0 at ["));
  }
}

TEST_CASE("a derivative that is right once only fails the second check", "[gradcheck]") {
  CHECK(gradcheck(wrong(1, true), point()));
  CHECK_FALSE(gradgradcheck(wrong(1, true), point()));
}

TEST_CASE("a gradient that the sum of the output would hide", "[gradcheck]") {
  // softmax with the cotangent negated: for the sum of the output both gradients are zero.
  struct Falsify {
    Falsify() {
      set_cotangent_hook([](const char* op, int, const Tensor& g) {
        return std::string(op) == "softmax" ? -g : g;
      });
    }
    ~Falsify() { set_cotangent_hook(nullptr); }
  } falsify;
  CHECK_FALSE(gradcheck([](auto& in) { return softmax(in[0], 1); }, point()));
}

TEST_CASE("NaN fails", "[gradcheck]") {
  CHECK_FALSE(gradcheck([](auto& in) { return log(in[0] - 100.0); }, point()));
}

TEST_CASE("nothing checked is a failure", "[gradcheck]") {
  CHECK_FALSE(gradcheck([](auto& in) { return in[0] * 2.0; }, {zeros({2}, DType::f64)}));
  CHECK_FALSE(gradcheck([](auto& in) { return in[0].detach(); }, point()));
  CHECK_FALSE(gradcheck([](auto& in) { return in[0] * 2.0; }, point({0})));
}

TEST_CASE("inputs are left as they were", "[gradcheck]") {
  auto in = point();
  auto before = in[0].to_vector();
  gradcheck([](auto& x) { return exp(x[0]); }, in);
  CHECK(in[0].to_vector() == before);
  CHECK_FALSE(in[0].grad().defined());
}

TEST_CASE("inputs of other types and without gradients stand beside", "[gradcheck]") {
  auto in = point();
  in.push_back(zeros({2, 3}, DType::boolean));
  in.push_back(ones({3}, DType::f64));
  CHECK(gradcheck([](auto& x) { return where(x[1], x[2], exp(x[0])); }, in));
}

TEST_CASE("several inputs and a strided one", "[gradcheck]") {
  Tensor a = Tensor(random_normal({3, 2}, 0, 1, {5, 0}, DType::f64)).set_requires_grad(true);
  auto f = [](auto& x) { return transpose(x[0], 0, 1) * x[1]; };
  CHECK(gradcheck(f, {a, point()[0]}).checked == 12);
  CHECK(gradgradcheck(f, {a, point()[0]}));
}
