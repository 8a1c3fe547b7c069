// A trained model as it lies in a checkpoint of a program: weights, settings and tokenizer.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <heed/core/error.h>
#include <heed/data/tokenizer.h>
#include <heed/train/checkpoint.h>

namespace heed::examples {

inline constexpr const char* kTokenizer = "tokenizer";  // in a checkpoint

inline std::unique_ptr<data::Tokenizer> load_tokenizer(const std::filesystem::path& checkpoint) {
  return data::load_tokenizer(checkpoint / kTokenizer);
}

template <class Model>
struct SavedModel {
  std::unique_ptr<Model> model;  // in eval mode
  std::unique_ptr<data::Tokenizer> tokenizer;
  std::filesystem::path directory;  // of the checkpoint
};

// The model that a checkpoint's config.json describes, without its weights. from_json(text): the
// model's config. IoError or ValueError name the file or say what does not fit.
template <class Model, class FromJson>
std::unique_ptr<Model> make_model(const std::filesystem::path& checkpoint, FromJson&& from_json) {
  std::string config = train::read_config(checkpoint);
  try {
    return std::make_unique<Model>(from_json(config));
  } catch (const ValueError& error) {
    throw ValueError(str(checkpoint.string(), ": ", error.what()));
  }
}

// The same with weights and tokenizer, in eval mode. IoError or ValueError name the file.
template <class Model, class FromJson>
SavedModel<Model> load_model(const std::filesystem::path& checkpoint, FromJson&& from_json) {
  SavedModel<Model> saved;
  saved.directory = checkpoint;
  saved.model = make_model<Model>(checkpoint, from_json);
  saved.tokenizer = load_tokenizer(checkpoint);
  if (saved.tokenizer->size() != saved.model->config().vocab)
    throw ValueError(str(checkpoint.string(), ": a tokenizer of ", saved.tokenizer->size(),
                         " tokens for a model of ", saved.model->config().vocab));
  train::load_checkpoint(checkpoint, *saved.model);
  saved.model->eval();
  return saved;
}

}  // namespace heed::examples
