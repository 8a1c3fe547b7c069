// PyTorch's names and packed forms against heed's. Only nn.MultiheadAttention differs: it packs the
// three input projections,
//   in_proj_weight [3 d, d], in_proj_bias [3 d]  (or q_proj_weight, k_proj_weight, v_proj_weight),
// where heed has q_proj, k_proj, v_proj. All other names are the same. Files are train's business.
#pragma once

#include <heed/nn/module.h>

namespace heed::nn {

// For module.load_state_dict. Names that it does not know pass unchanged, for load_state_dict to
// refuse. ValueError: packed tensors of wrong shapes, bias_k or bias_v (no such parameters here).
StateDict from_pytorch(const StateDict& state, Module& module);
// module.state_dict() as PyTorch would save it. ValueError for grouped heads, which
// nn.MultiheadAttention does not have.
StateDict to_pytorch(Module& module);

}  // namespace heed::nn
