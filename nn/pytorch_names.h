// PyTorch's parameter names against heed's. nn.MultiheadAttention packs the three input
// projections:
//
//   PyTorch                                        heed
//   in_proj_weight [3 d, d], or q_proj_weight,     q_proj.weight, k_proj.weight, v_proj.weight
//     k_proj_weight and v_proj_weight
//   in_proj_bias [3 d]                             q_proj.bias, k_proj.bias, v_proj.bias
//
// A module whose twin there has other names yet is a PyTorchTwin. A linear layer may be a
// convolution of size 1 there, weight [out, in, 1, 1]: the twin says with how many axes. A file
// from before PyTorch 0.4.1 lacks num_batches_tracked of batch norms, which keep theirs. All other
// names are the same. Reading and writing files is train's business.
#pragma once

#include <string>
#include <vector>

#include <heed/nn/module.h>

namespace heed::nn {

// A path of a submodule or parameter, "encoder.norm", or how it is called there, "encoder.ln".
struct PyTorchName {
  std::string ours, theirs;
  int unit_axes = 0;  // at the end of the weights there: 2 of a convolution over pictures
};

// Implemented by a Module, models::ViT for example.
class PyTorchTwin {
 public:
  virtual ~PyTorchTwin() = default;
  // Relative to the module, for all that is called otherwise. Where one of ours has several of
  // theirs, all are read and the first is written.
  virtual std::vector<PyTorchName> pytorch_names() const = 0;
};

// For module.load_state_dict. Unknown names pass unchanged, and load_state_dict refuses them.
// ValueError: packed tensors of wrong shapes, bias_k or bias_v (no such parameters here), a
// parameter under two names.
StateDict from_pytorch(const StateDict& state, Module& module);
// module.state_dict() as PyTorch would save it. ValueError for grouped heads, which
// nn.MultiheadAttention does not have.
StateDict to_pytorch(Module& module);

}  // namespace heed::nn
