#include <heed/train/checkpoint.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <system_error>

#include <heed/core/config.h>
#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/train/checkpoint_state.h>
#include <heed/train/files.h>
#include <heed/train/weights.h>

namespace heed::train {

namespace {
constexpr const char* kWeights = "weights.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kState = "state.json";
constexpr const char* kConfig = "config.json";

// The N of "step-N"; nothing for any other name.
std::optional<int64_t> step_of(const std::string& name) {
  constexpr std::string_view kPrefix = "step-";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  int64_t step = 0;
  const char* end = name.data() + name.size();
  auto [stop, error] = std::from_chars(name.data() + kPrefix.size(), end, step);
  if (error != std::errc() || stop != end || step < 0 || name != str(kPrefix, step))
    return std::nullopt;
  return step;
}

bool is_stale(const std::string& name) {
  return name == "last.tmp" || name == "best.tmp" ||
         (name.starts_with("step-") && name.ends_with(".tmp"));
}

std::vector<std::string> list_steps(const fs::path& run) {
  std::vector<std::pair<int64_t, fs::path>> found;
  for (const fs::path& entry : list_directory(run))
    if (auto step = step_of(entry.filename().string()); step && directory_exists(entry))
      found.emplace_back(*step, entry);
  std::sort(found.begin(), found.end());
  std::vector<std::string> out;
  for (auto& [step, path] : found) out.push_back(path.string());
  return out;
}

// What `last` or `best` names, if that is a checkpoint that exists.
std::optional<std::string> pointed(const fs::path& run, const char* pointer) {
  if (!file_exists(run / pointer)) return std::nullopt;
  std::string name = read_file(run / pointer, 4096);
  while (!name.empty() && (name.back() == '\n' || name.back() == '\r')) name.pop_back();
  if (!step_of(name) || !directory_exists(run / name)) return std::nullopt;
  return (run / name).string();
}

void remove_quietly(const fs::path& path) {
  std::error_code error;
  fs::remove_all(path, error);
  if (error) log(LogLevel::info, str(path.string(), ": cannot be removed: ", error.message()));
}

void add_sums(const fs::path& directory, const std::string& prefix,
              std::map<std::string, FileSum>& sums) {
  for (const fs::path& entry : list_directory(directory)) {
    std::string name = prefix + entry.filename().string();
    if (directory_exists(entry)) add_sums(entry, name + "/", sums);
    else sums[name] = file_sum(entry);
  }
}

StateFile read_checked(const fs::path& directory) {
  if (!directory_exists(directory)) throw IoError(str(directory.string(), ": no such checkpoint"));
  StateFile content = read_state_file(directory / kState);
  if (!content.files.contains(kWeights))
    throw IoError(str((directory / kState).string(), ": state.files: no ", kWeights));
  for (const auto& [name, sum] : content.files) {
    fs::path file = directory / name;
    if (!file_exists(file)) throw IoError(str(file.string(), ": missing; state.json lists it"));
    FileSum now = file_sum(file);
    if (now.bytes != sum.bytes)
      throw IoError(str(file.string(), ": ", sum.bytes, " bytes expected, got ", now.bytes));
    if (now.crc32 != sum.crc32)
      throw IoError(str(file.string(), ": its content was changed (CRC-32)"));
  }
  return content;
}
}  // namespace

double mean_loss(const LossSums& terms) {
  if (terms.empty()) return std::numeric_limits<double>::quiet_NaN();
  double total = 0;
  for (const auto& [name, term] : terms)
    if (term.weight > 0) total += term.mean();  // a term that was about no token adds nothing
  return total;
}

CheckpointStore::CheckpointStore(std::string directory, int64_t keep_last)
    : directory_(std::move(directory)), keep_last_(keep_last) {
  if (keep_last < 1) throw ValueError(str("checkpoints: keep_last >= 1 expected, got ", keep_last));
  make_directories(directory_);
  for (const fs::path& entry : list_directory(directory_))
    if (is_stale(entry.filename().string())) remove_quietly(entry);
  for (const std::string& step : all()) remove_quietly(fs::path(step) / str(kState, ".tmp"));
}

std::string CheckpointStore::save(const CheckpointContent& content, bool best) {
  std::string name = str("step-", content.state.step);
  fs::path root = directory_, final = root / name, temporary = root / (name + ".tmp");
  remove_quietly(temporary);
  try {
    make_directories(temporary);
    write_state(content.model.state_dict(), temporary / kWeights);
    if (content.optimizer) write_state(content.optimizer->state_dict(), temporary / kOptimizer);
    if (!content.config.empty()) replace_file(temporary / kConfig, content.config);
    if (content.extra) content.extra(temporary);
    StateFile state{content.state, content.optimizer ? content.optimizer->name() : "", {}};
    add_sums(temporary, "", state.files);
    replace_file(temporary / kState, to_json(state));
    sync_tree(temporary);
    rename_directory(temporary, final);
  } catch (...) {
    remove_quietly(temporary);
    throw;
  }
  sync_file(directory_);
  replace_file(root / "last", name + "\n");
  if (best) replace_file(root / "best", name + "\n");
  remove_quietly(temporary);  // where it changed places with an older checkpoint of this step
  prune();
  return final.string();
}

void CheckpointStore::update(const TrainState& state, bool best) {
  std::string name = str("step-", state.step);
  fs::path root = directory_, file = root / name / kState;
  StateFile content = read_state_file(file);
  content.state = state;
  // `best` first: where nothing comes after it, the run that goes on evaluates again.
  if (best) replace_file(root / "best", name + "\n");
  replace_file(file, to_json(content));
  prune();
}

void CheckpointStore::prune() const {
  std::vector<std::string> steps = all();
  auto last_one = pointed(directory_, "last"), best_one = pointed(directory_, "best");
  int64_t excess = static_cast<int64_t>(steps.size()) - keep_last_;
  for (int64_t i = 0; i < excess; ++i) {
    const std::string& old = steps[static_cast<size_t>(i)];
    if (old == last_one || old == best_one) continue;
    // Renamed first: a directory that is half deleted must not look like a checkpoint.
    std::string doomed = old + ".tmp";
    std::error_code error;
    fs::rename(old, doomed, error);
    if (!error) remove_quietly(doomed);
    else log(LogLevel::info, str(old, ": cannot be removed: ", error.message()));
  }
}

std::vector<std::string> CheckpointStore::all() const { return list_steps(directory_); }

std::optional<std::string> CheckpointStore::last() const {
  if (auto path = pointed(directory_, "last")) return path;
  auto steps = all();
  return steps.empty() ? std::nullopt : std::optional(steps.back());
}

std::optional<std::string> CheckpointStore::best() const { return pointed(directory_, "best"); }

std::string find_checkpoint(const std::string& path, bool best) {
  if (file_exists(fs::path(path) / kState)) return path;
  if (!directory_exists(path)) throw IoError(str(path, ": no such directory"));
  if (auto named = pointed(path, best ? "best" : "last")) return *named;
  auto steps = list_steps(path);
  if (steps.empty()) throw IoError(str(path, ": no checkpoint: neither state.json nor step-N/"));
  if (best)
    throw IoError(str(path, ": no best checkpoint: the run stopped before its first evaluation; ",
                      "resume it, or name a checkpoint, such as ", steps.back()));
  return steps.back();
}

bool has_checkpoint(const std::string& path) {
  return file_exists(fs::path(path) / kState) ||
         (directory_exists(path) && (pointed(path, "last") || !list_steps(path).empty()));
}

std::vector<std::string> last_checkpoints(const std::string& run, int64_t count) {
  if (count < 1) throw ValueError(str("last_checkpoints: count >= 1 expected, got ", count));
  auto steps = list_steps(run);
  if (steps.empty()) throw IoError(str(run, ": no checkpoint: no step-N/"));
  auto skip = std::max<int64_t>(0, static_cast<int64_t>(steps.size()) - count);
  return {steps.begin() + skip, steps.end()};
}

TrainState load_checkpoint(const std::string& path, nn::Module& model, Optimizer* optimizer) {
  fs::path directory = path;
  StateFile content = read_checked(directory);
  nn::StateDict weights = read_state(directory / kWeights), moments;
  if (optimizer) {
    if (content.optimizer != optimizer->name())
      throw ValueError(str(path, ": written with optimizer '", content.optimizer, "', not '",
                           optimizer->name(), "'"));
    moments = read_state(directory / kOptimizer);
  }
  // All checks before the first change: load_state_dict changes nothing when it throws, and so the
  // optimizer is checked before the model is loaded.
  try {
    if (optimizer) optimizer->check_state_dict(moments);
    model.load_state_dict(weights);
    if (optimizer) optimizer->load_state_dict(moments);
  } catch (const ValueError& error) {
    throw ValueError(str(path, ": checkpoint of another model: ", error.what()));
  }
  return content.state;
}

TrainState read_train_state(const std::string& directory) { return read_checked(directory).state; }

std::string read_config(const std::string& directory) {
  StateFile content = read_checked(directory);
  if (!content.files.contains(kConfig)) throw IoError(str(directory, ": no ", kConfig));
  return read_file(fs::path(directory) / kConfig);
}

void restore_generator(const TrainState& state) {
  default_generator().set_state(state.rng_seed, state.rng_offset);
}

void load_average(const std::vector<std::string>& directories, nn::Module& model) {
  if (directories.empty()) throw ValueError("load_average: no checkpoints");
  nn::StateDict last;
  std::map<std::string, std::vector<double>> sums;
  for (const std::string& directory : directories) {
    read_checked(directory);
    nn::StateDict state = read_state(fs::path(directory) / kWeights);
    if (!last.empty() && state.size() != last.size())
      throw ValueError(str(directory, ": ", state.size(),
                           " weights, but the checkpoint before has ", last.size()));
    for (const auto& [name, value] : state) {
      auto before = last.find(name);
      if (!last.empty() && (before == last.end() || before->second.shape() != value.shape() ||
                            before->second.dtype() != value.dtype()))
        throw ValueError(str(directory, ": ", name, " does not match the checkpoint before"));
      std::vector<double> values = value.to_vector();
      std::vector<double>& sum = sums[name];
      sum.resize(values.size());
      for (size_t i = 0; i < values.size(); ++i) sum[i] += values[i];
    }
    last = std::move(state);
  }
  // Buffers, such as random projections, are not averaged: the mean of several is not a valid one.
  for (const auto& [name, buffer] : model.named_buffers()) sums.erase(name);
  for (auto& [name, sum] : sums) {
    for (double& x : sum) x /= static_cast<double>(directories.size());
    Tensor& value = last.at(name);
    value = Tensor(Array::from(sum, value.shape())).to(value.dtype());
  }
  model.load_state_dict(last);
}

}  // namespace heed::train
