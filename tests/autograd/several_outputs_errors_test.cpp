// Ops with several outputs: versions of what was saved, anomaly mode, outputs left out.
#include <cmath>
#include <string>

#include <heed/tests/autograd/several_outputs.h>

namespace heed::outputs_test {
namespace {

// Asks for what it did not save.
struct Forgetful {
  static constexpr const char* name = "forgetful";
  static constexpr unsigned saves = kOutput;
  std::array<Array, 2> forward(Inputs in) { return {in[0], in[0]}; }
  void vjp(Vjp& v) { v.add(0, v.output(1)); }
};

// Its second output is a constant that may be -inf, its gradient is NaN.
struct Faulty {
  static constexpr const char* name = "faulty";
  static constexpr unsigned saves = 1;
  static constexpr unsigned minus_inf = output_bit(1);
  double second;
  std::array<Array, 2> forward(Inputs in) {
    return {in[0], in.tensor(0).new_full({1, 2}, second).array()};
  }
  void vjp(Vjp& v) { v.add(0, v.input(0).new_full({2}, NAN)); }
};

// Makes its second output only where there will be a backward.
struct Half {
  static constexpr const char* name = "half";
  static constexpr unsigned saves = output_bit(1);
  std::array<Array, 2> forward(Inputs in) { return {in[0], in.recorded() ? in[0] : Array()}; }
  void vjp(Vjp& v) { v.add(0, v.cotangent(0)); }
};

template <class Error, class F>
std::string message_of(F f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

TEST_CASE("several outputs: a saved output has a version of its own", "[outputs]") {
  Tensor x = leaf({1, 2}), w = leaf({3, -4});
  for (int changed : {0, 1}) {
    auto outputs = fused_of(x, w);
    {
      NoGrad guard;
      outputs[static_cast<size_t>(changed)].fill_(1);
    }
    REQUIRE_THROWS_SAYING(sum(outputs[0]).backward(), GradError, "'fused_pair' saved was changed");
  }
  auto [product, square, places] = pair_of(x, w);
  NoGrad guard;
  square.fill_(1);  // not saved: nobody minds
  grad({product}, {x}, {ones({2})});
}

TEST_CASE("several outputs: what was not saved is named", "[outputs]") {
  Tensor x = leaf({1, 2});
  REQUIRE_THROWS_SAYING(sum(apply(Forgetful{}, x)[1]).backward(), GradError,
                        "'forgetful' did not save output 1");
}

TEST_CASE("several outputs: anomaly mode names the output", "[outputs]") {
  Tensor x = leaf({1, 2});
  AnomalyMode guard;
  std::string said = message_of<NumericError>([&] { apply(Faulty{NAN}, x); });
  CHECK_THAT(said,
             test::ContainsSubstring("'faulty' gave nan at [0, 0] of [1, 2] f32 in output 1"));
  auto outputs = apply(Faulty{-INFINITY}, x);  // it says that it may
  said = message_of<NumericError>([&] { sum(outputs[1]).backward(); });
  CHECK_THAT(said, test::ContainsSubstring("gradient of 'faulty' by input 0"));
  CHECK_THAT(said, test::ContainsSubstring("its output was [2] f32, [1, 2] f32"));
}

TEST_CASE("several outputs: an output may be left undefined", "[outputs]") {
  Tensor x = leaf({1, 2});
  CHECK(apply(Half{}, x)[1].defined());
  CHECK_FALSE(apply(Half{}, x.detach())[1].defined());
}

}  // namespace
}  // namespace heed::outputs_test
