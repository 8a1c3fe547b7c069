// state.json of a checkpoint; for checkpoint.cpp alone.
//
//   {"crc32": "8d1a..", "format": 1, "state": {"step": 200, .., "files": {"config.json": {..}}}}
//
// The outer CRC-32 is that of the inner object's compact text: no bit of it changes unseen.
#pragma once

#include <map>
#include <string>

#include <heed/train/checkpoint.h>
#include <heed/train/files.h>

namespace heed::train {

struct StateFile {
  TrainState state;
  std::string optimizer;                 // its name; empty: none was saved
  std::map<std::string, FileSum> files;  // every other file, by its path in the checkpoint
};

std::string to_json(const StateFile& content);
StateFile read_state_file(const fs::path& file);  // IoError: file, field, what was expected

}  // namespace heed::train
