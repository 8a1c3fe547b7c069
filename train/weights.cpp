#include <heed/train/weights.h>

#include <utility>

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

bool at_or_below(const std::string& name, const std::string& path) {
  return name.starts_with(path) && (name.size() == path.size() || name[path.size()] == '.');
}

// What is skipped becomes the model's own.
void skip(nn::StateDict& state, const nn::Module& model, const std::vector<std::string>& paths) {
  nn::StateDict own = model.state_dict();
  for (const std::string& path : paths) {
    auto below = [&](const auto& entry) { return at_or_below(entry.first, path); };
    std::erase_if(state, below);
    size_t before = state.size();
    for (const auto& entry : own)
      if (below(entry)) state.emplace(entry.first, entry.second.detach().clone());
    if (state.size() == before)
      throw ValueError(str("skip: ", model.type_name(), " has nothing at '", path, "'"));
  }
}

void load(nn::Module& model, nn::StateDict state, const std::string& file,
          const LoadOptions& options) {
  skip(state, model, options.skip);
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

void load_weights(nn::Module& model, const std::string& file, const LoadOptions& options) {
  load(model, read_state(file), file, options);
}

void save_pytorch(nn::Module& model, const std::string& file) {
  nn::StateDict state = nn::to_pytorch(model);
  // The entry that transformers and other readers look for.
  replace_file(file, [&](const fs::path& temporary) {
    write(state, temporary, {{"format", "pt"}});
  });
}

void load_pytorch(nn::Module& model, const std::string& file, const LoadOptions& options) {
  nn::StateDict state;
  try {
    state = nn::from_pytorch(read_state(file), model);
  } catch (const ValueError& error) {
    throw ValueError(str(file, ": ", error.what()));
  }
  load(model, std::move(state), file, options);
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
