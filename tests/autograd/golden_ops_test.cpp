// Values and gradients that PyTorch made (tests/golden/README.md, ops_*).
#include <heed/autograd/backward.h>
#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/norm.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/data/safetensors.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

class Golden {
 public:
  explicit Golden(const std::string& name)
      : file_(data::read_safetensors(std::string(HEED_SOURCE_DIR) + "/tests/golden/" + name +
                                     ".safetensors")) {}

  Tensor at(const std::string& name) const { return Tensor(file_.at(name)).clone(); }

  // f of the inputs named; those with a gradient in the file want one.
  void check(const std::string& name, const std::vector<std::string>& inputs, const Run& f) const {
    INFO(name);
    std::vector<Tensor> in, wanted, expected;
    for (const std::string& input : inputs) {
      in.push_back(at(name + "." + input));
      if (const Array* gradient = file_.find(name + ".grad." + input)) {
        in.back().set_requires_grad(true);
        wanted.push_back(in.back());
        expected.emplace_back(*gradient);
      }
    }
    Tensor out = f(in);
    compare("out", out, at(name + ".out"));
    REQUIRE_FALSE(wanted.empty());
    auto gradients = grad({out}, wanted, {at(name + ".cotangent")});
    for (size_t i = 0; i < gradients.size(); ++i) compare("gradient", gradients[i], expected[i]);
  }

 private:
  static void compare(const char* what, const Tensor& got, const Tensor& want) {
    INFO(what << " " << got << " expected " << want);
    REQUIRE(got.shape() == want.shape());
    REQUIRE(close(got.to_vector(), want.to_vector(), 1e-11, 1e-2));
  }
  data::SafeTensors file_;
};

using In = const std::vector<Tensor>&;

}  // namespace

TEST_CASE("softmax equals PyTorch") {
  Golden golden("ops_softmax");
  golden.check("softmax_last", {"x"}, [](In in) { return softmax(in[0], -1); });
  golden.check("softmax_middle", {"x"}, [](In in) { return softmax(in[0], 1); });
  golden.check("log_softmax_last", {"x"}, [](In in) { return log_softmax(in[0], -1); });
  golden.check("log_softmax_middle", {"x"}, [](In in) { return log_softmax(in[0], 1); });
}

TEST_CASE("norms equal PyTorch") {
  Golden golden("ops_norm");
  golden.check("layer_norm", {"x", "weight", "bias"},
               [](In in) { return layer_norm(in[0], in[1], in[2]); });
  golden.check("layer_norm_plain", {"x"},
               [](In in) { return layer_norm(in[0], Tensor(), Tensor()); });
  golden.check("rms_norm", {"x", "weight"}, [](In in) { return rms_norm(in[0], in[1]); });
}

TEST_CASE("losses equal PyTorch") {
  Golden golden("ops_loss");
  const std::pair<const char*, Reduction> reductions[] = {
      {"mean", Reduction::mean}, {"sum", Reduction::sum}, {"none", Reduction::none}};
  for (auto [reduction, r] : reductions) {
    for (double smoothing : {0.0, 0.1}) {
      CrossEntropyOptions o{smoothing, -100, r};
      std::string suffix = std::string(smoothing > 0 ? "_smooth_" : "_") + reduction;
      golden.check("cross_entropy" + suffix, {"x", "target"},
                   [&](In in) { return cross_entropy(in[0], in[1], o); });
      if (r == Reduction::none) continue;
      golden.check("linear_cross_entropy" + suffix, {"x", "weight", "target"},
                   [&](In in) { return linear_cross_entropy(in[0], in[1], Tensor(), in[2], o); });
    }
    if (r == Reduction::none) continue;
    golden.check(std::string("mse_") + reduction, {"x", "y"},
                 [r = r](In in) { return mse_loss(in[0], in[1], r); });
    golden.check(std::string("bce_logits_") + reduction, {"x", "target"},
                 [r = r](In in) { return binary_cross_entropy_with_logits(in[0], in[1], r); });
  }
}

}  // namespace heed::test
