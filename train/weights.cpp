#include <heed/train/weights.h>

#include <vector>

#include <heed/core/error.h>
#include <heed/data/safetensors.h>
#include <heed/nn/pytorch_names.h>
#include <heed/train/files.h>

namespace heed::train {

namespace {
void write(const nn::StateDict& state, const std::string& file, const data::Metadata& metadata) {
  std::vector<data::NamedArray> tensors;
  for (const auto& [name, value] : state)
    tensors.push_back({name, value.detach().to(kCpu).array()});
  data::write_safetensors(file, tensors, metadata);
}

void load(nn::Module& model, const nn::StateDict& state, const std::string& file) {
  try {
    model.load_state_dict(state);
  } catch (const ValueError& error) {
    throw ValueError(str(file, ": weights of another model: ", error.what()));
  }
}
}  // namespace

void save_weights(const nn::Module& model, const std::string& file) {
  save_state(model.state_dict(), file);
}

void load_weights(nn::Module& model, const std::string& file) {
  load(model, read_state(file), file);
}

void save_pytorch(nn::Module& model, const std::string& file) {
  nn::StateDict state = nn::to_pytorch(model);
  // The entry that transformers and other readers look for.
  replace_file(file, [&](const fs::path& temporary) {
    write(state, temporary, {{"format", "pt"}});
  });
}

void load_pytorch(nn::Module& model, const std::string& file) {
  nn::StateDict state;
  try {
    state = nn::from_pytorch(read_state(file), model);
  } catch (const ValueError& error) {
    throw ValueError(str(file, ": ", error.what()));
  }
  load(model, state, file);
}

void save_state(const nn::StateDict& state, const std::string& file) {
  replace_file(file, [&](const fs::path& temporary) { write_state(state, temporary); });
}

void write_state(const nn::StateDict& state, const std::string& file) { write(state, file, {}); }

nn::StateDict read_state(const std::string& file) {
  nn::StateDict state;
  for (data::NamedArray& tensor : data::read_safetensors(file).tensors)
    state.emplace(std::move(tensor.name), Tensor(std::move(tensor.array)));
  return state;
}

}  // namespace heed::train
