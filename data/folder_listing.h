// Which pictures lie in a folder of class folders. Internal to data/: image_folder.h has the
// layouts and the errors.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace heed::data {

struct FolderPart {
  std::vector<std::string> paths;  // by class, then by name
  std::vector<int64_t> labels;
};

struct FolderListing {
  std::vector<std::string> class_names;
  FolderPart train, validation, test;  // without paths where a part is not there
  std::vector<std::string> notes;      // what was skipped
};

FolderListing list_image_folder(const std::string& directory);

}  // namespace heed::data
