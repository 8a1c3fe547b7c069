// Activation functions by name, for settings and command lines.
#pragma once

#include <string>
#include <vector>

#include <heed/autograd/tensor.h>

namespace heed::nn {

using Activation = Tensor (*)(const Tensor& x);

// relu, gelu (exact), gelu_tanh (GPT-2's), silu, elu, softplus, sigmoid, tanh, identity.
// An unknown name is a ValueError that lists these.
Activation activation(const std::string& name);
const std::vector<std::string>& activation_names();

}  // namespace heed::nn
