// Convolutions and their gradients as PyTorch has them (tests/golden/golden_conv.py).
#include <heed/autograd/ops/conv.h>
#include <heed/tests/autograd/golden.h>
#include <heed/tests/support/catch.h>

namespace heed::test {

TEST_CASE("convolutions equal PyTorch") {
  Golden golden("ops_conv");
  auto check = [&](const std::string& name, auto function, const ConvOptions& options) {
    golden.check(name, {"x", "weight", "bias"}, [&](const std::vector<Tensor>& in) {
      return function(in[0], in[1], in[2], options);
    });
  };
  check("1d", conv1d, {});
  check("1d_all", conv1d, {.stride = {2}, .padding = {3}, .dilation = {2}, .groups = 2});
  check("2d", conv2d, {});
  check("2d_same", conv2d, {.padding = {1}});
  check("2d_stride", conv2d, {.stride = {2}, .padding = {1}});
  check("2d_patch", conv2d, {.stride = {4}});
  check("2d_all", conv2d, {.stride = {2, 1}, .padding = {1, 2}, .dilation = {1, 3}, .groups = 2});
  check("2d_depthwise", conv2d, {.padding = {1}, .groups = 4});
  check("3d", conv3d, {.padding = {0, 1, 1}});
  check("3d_all", conv3d,
        {.stride = {2, 1, 2}, .padding = {1}, .dilation = {2, 1, 1}, .groups = 2});
}

}  // namespace heed::test
