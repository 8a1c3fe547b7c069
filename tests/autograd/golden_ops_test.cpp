// Values and gradients that PyTorch made (tests/golden/README.md, ops_*).
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/losses.h>
#include <heed/autograd/ops/norm.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/softmax.h>
#include <heed/tests/autograd/golden.h>

namespace heed::test {

namespace {

using In = const std::vector<Tensor>&;

}  // namespace

TEST_CASE("softmax equals PyTorch") {
  Golden golden("ops_softmax");
  golden.check("softmax_last", {"x"}, [](In in) { return softmax(in[0], -1); });
  golden.check("softmax_middle", {"x"}, [](In in) { return softmax(in[0], 1); });
  golden.check("log_softmax_last", {"x"}, [](In in) { return log_softmax(in[0], -1); });
  golden.check("log_softmax_middle", {"x"}, [](In in) { return log_softmax(in[0], 1); });
  golden.check("logsumexp", {"x"}, [](In in) { return logsumexp(in[0], 1); });
  golden.check("cumsum", {"x"}, [](In in) { return cumsum(in[0], 1); });
}

TEST_CASE("activations equal PyTorch") {
  Golden golden("ops_activation");
  golden.check("gelu_erf", {"x"}, [](In in) { return gelu(in[0]); });
  golden.check("gelu_tanh", {"x"}, [](In in) { return gelu_tanh(in[0]); });
  golden.check("silu", {"x"}, [](In in) { return silu(in[0]); });
  golden.check("softplus", {"x"}, [](In in) { return softplus(in[0]); });
  golden.check("elu", {"x"}, [](In in) { return elu(in[0]); });
  golden.check("sigmoid", {"x"}, [](In in) { return sigmoid(in[0]); });
  golden.check("tanh", {"x"}, [](In in) { return tanh(in[0]); });
}

TEST_CASE("embedding equals PyTorch") {
  Golden golden("ops_embedding");
  golden.check("embedding", {"weight", "ids"}, [](In in) { return embedding(in[0], in[1]); });
  golden.check("embedding_padding", {"weight", "ids"},
               [](In in) { return embedding(in[0], in[1], 3); });
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
