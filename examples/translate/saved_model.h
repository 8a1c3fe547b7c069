// A trained translator as it lies in a directory: weights, settings and tokenizer.
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <heed/models/beam_search.h>
#include <heed/models/transformer.h>

#include "../common/saved_model.h"

namespace heed::examples {

using SavedTranslator = SavedModel<models::Transformer>;

// `path`: a checkpoint, or a run's directory, where the average of the last checkpoints comes
// first, then the last one. IoError or ValueError name the file or say what does not fit.
SavedTranslator load_translator(const std::filesystem::path& path);

constexpr const char* kAverage = "average";  // in a run's directory

// One translation a line; an empty line stays empty.
std::vector<std::string> translate_lines(
    const models::Transformer& model, const data::Tokenizer& tokenizer,
    const std::vector<std::string>& lines, const models::BeamOptions& options,
    const std::function<void(int64_t done, int64_t total)>& progress = {});

}  // namespace heed::examples
