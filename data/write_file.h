// A file, whole. Internal to data/ and viz/.
#pragma once

#include <string>
#include <string_view>

namespace heed::data {

// IoError, with the system's reason, when not every byte could be written.
void write_file(const std::string& path, std::string_view bytes);

}  // namespace heed::data
