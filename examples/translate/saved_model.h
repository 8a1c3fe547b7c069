// A trained translator as it lies in a directory: weights, settings and tokenizer.
#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <heed/data/tokenizer.h>
#include <heed/models/decode.h>

namespace heed::examples {

struct SavedModel {
  std::unique_ptr<models::Transformer> model;  // in eval mode
  std::unique_ptr<data::Tokenizer> tokenizer;
  std::filesystem::path directory;  // of the checkpoint
};

// `path`: a checkpoint, or a run's directory, where the average of the last checkpoints comes
// first, then the last one. IoError or ValueError name the file or say what does not fit.
SavedModel load_model(const std::filesystem::path& path);

constexpr const char* kAverage = "average";      // in a run's directory
constexpr const char* kTokenizer = "tokenizer";  // in a checkpoint

// One translation a line; an empty line stays empty.
std::vector<std::string> translate_lines(
    const models::Transformer& model, const data::Tokenizer& tokenizer,
    const std::vector<std::string>& lines, const models::DecodeOptions& options,
    const std::function<void(int64_t done, int64_t total)>& progress = {});

}  // namespace heed::examples
