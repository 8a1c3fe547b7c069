// What the training tests share: a small model with dropout, a regression task whose batches are a
// function of their position, a directory of its own, and comparison to the bit.
#pragma once

#include <stdlib.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <string>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/core/random.h>
#include <heed/nn/dropout.h>
#include <heed/nn/linear.h>
#include <heed/train/trainer.h>

namespace heed::test {

namespace fs = std::filesystem;

class TempDir {
 public:
  TempDir() {
    std::string pattern = (fs::temp_directory_path() / "heed_train_XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::runtime_error("no temporary directory: " + pattern);
    path_ = pattern;
  }
  ~TempDir() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  operator std::string() const { return path_.string(); }
  fs::path operator/(const std::string& name) const { return path_ / name; }

 private:
  fs::path path_;
};

inline std::string slurp(const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
inline void spit(const fs::path& file, const std::string& text) {
  fs::remove(file);  // some file systems sync at once where a file is emptied and written again
  std::ofstream(file, std::ios::binary) << text;
}

struct Mlp : nn::Module {
  nn::Linear first, second;
  nn::Dropout dropout;
  Tensor count;  // a buffer: saved, not trained
  explicit Mlp(uint64_t seed = 1, int64_t width = 16)
      : first((manual_seed(seed), 6), width), second(width, 3), dropout(0.1) {
    register_module("first", first);
    register_module("second", second);
    register_module("dropout", dropout);
    count = zeros({1});
    register_buffer("count", count);
  }
  Tensor forward(const Tensor& x) const {
    return second.forward(dropout.forward(tanh(first.forward(x))));
  }
};

// Bytes of every parameter and buffer.
inline std::map<std::string, std::string> bits(const nn::StateDict& state) {
  std::map<std::string, std::string> out;
  for (const auto& [name, value] : state) {
    Array array = value.contiguous().array().to(kCpu);
    out[name].assign(static_cast<const char*>(array.raw()), static_cast<size_t>(array.bytes()));
  }
  return out;
}

inline Tensor toy_loss(const Mlp& model, int64_t epoch, int64_t index, int64_t rows = 8) {
  uint64_t place = static_cast<uint64_t>(1000 * epoch + index);
  Device device = model.first.weight.device();
  Tensor x(random_normal({rows, 6}, 0, 1, {77, 100 * place}).to(device));
  Tensor y(random_normal({rows, 3}, 0, 1, {78, 100 * place}).to(device));
  return mean(square(model.forward(x) - y));
}

// Epochs of 7 and 8 batches in turn.
inline train::TrainTask toy_task(const Mlp& model) {
  train::TrainTask task;
  task.batches = [](int64_t epoch) { return 7 + epoch % 2; };
  task.step = [&model](int64_t epoch, int64_t index) {
    return train::StepResult{toy_loss(model, epoch, index), 8};
  };
  task.evaluate = [&model] { return toy_loss(model, 500, 0, 32).item(); };
  return task;
}

inline train::TrainerConfig quiet(int64_t epochs) {
  train::TrainerConfig config;
  config.epochs = epochs;
  config.clip_norm = 1;
  config.log_every = 3;
  config.seed = 5;
  config.quiet = true;
  return config;
}

}  // namespace heed::test
