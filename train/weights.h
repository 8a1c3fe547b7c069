// Weight files. A file is replaced at once or not at all. What does not fit is an error that names
// the file and lists missing, unexpected and misshapen names; nothing is changed then.
//
//   train::save_weights(model, "model.safetensors");
//   train::load_weights(model, "model.safetensors");
//   train::load_pytorch(vit, "vit_b_16.safetensors", {.skip = {"head"}});  // for other classes
#pragma once

#include <string>
#include <vector>

#include <heed/nn/module.h>

namespace heed::train {

struct LoadOptions {
  // Paths of submodules, parameters or buffers, by heed's names, that keep their values; the file
  // may hold others, of any shape, or none. ValueError where the model has no such path.
  std::vector<std::string> skip{};
};

// Parameters and buffers by heed's names.
void save_weights(const nn::Module& model, const std::string& file);
void load_weights(nn::Module& model, const std::string& file, const LoadOptions& options = {});

// Files as a PyTorch user has them (state_dict through safetensors.torch.save_file): the packed
// in_proj_weight of nn.MultiheadAttention becomes q_proj, k_proj and v_proj, and back, and models
// that are torchvision's have its names there (nn/pytorch_names.h).
void save_pytorch(nn::Module& model, const std::string& file);
void load_pytorch(nn::Module& model, const std::string& file, const LoadOptions& options = {});

// Any state, such as an average of checkpoints; dtypes and shapes as they are.
void save_state(const nn::StateDict& state, const std::string& file);
nn::StateDict read_state(const std::string& file);
// save_state without sync and rename, for files in a directory that is renamed as a whole.
void write_state(const nn::StateDict& state, const std::string& file);

}  // namespace heed::train
