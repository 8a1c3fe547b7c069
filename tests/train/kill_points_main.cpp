// For kill_points_full.py: saves checkpoints while the script makes system calls fail.
//
//   kill_points save DIR     goes on from DIR's last checkpoint: three saves, the last with an
//                            evaluation behind it; 3 after an IoError
//   kill_points verify DIR   every checkpoint in DIR must load and be of one piece, and another
//                            save must work; prints the step of the last one that was found
#include <fcntl.h>

#include <cstdio>
#include <filesystem>
#include <string>

#include <heed/core/error.h>
#include <heed/train/checkpoint.h>
#include <heed/train/files.h>

namespace {
using namespace heed;
namespace fs = std::filesystem;

// Each weight holds the step, so that a mixture of two checkpoints is seen.
struct Model : nn::Module {
  Tensor a = zeros({40, 50}), b = zeros({3});
  Model() {
    register_parameter("a", a);
    register_parameter("b", b);
  }
};

struct Run {
  Model model;
  train::AdamW optimizer{model.named_parameters()};
  train::TrainState state;

  void advance() {
    NoGrad guard;
    for (const auto& [name, parameter] : model.named_parameters()) {
      parameter.fill_(static_cast<double>(state.step + 1));
      parameter.set_grad(full(parameter.shape(), 1));
    }
    optimizer.step(0);
    ++state.step;
  }
  void save(train::CheckpointStore& store, bool best) {
    auto tokenizer = [&](const fs::path& at) {
      train::replace_file(at / "vocab.txt", str("word ", state.step));
    };
    store.save({model, &optimizer, state, str("{\"step\": ", state.step, "}"), tokenizer}, best);
  }
  void load(const fs::path& path) {
    state = train::load_checkpoint(path, model, &optimizer);
    bool one_piece = optimizer.step_count() == state.step &&
                     path.filename() == str("step-", state.step) &&
                     train::read_config(path) == str("{\"step\": ", state.step, "}") &&
                     train::read_file(path / "vocab.txt") == str("word ", state.step);
    for (const auto& [name, parameter] : model.named_parameters())
      for (double x : parameter.to_vector()) one_piece &= x == static_cast<double>(state.step);
    if (!one_piece) throw Error(str(path.string(), ": half of one checkpoint and half of another"));
  }
};

void save(const fs::path& directory) {
  Run run;
  if (fs::exists(directory / "last")) run.load(train::find_checkpoint(directory));
  int marker =
      ::open((directory / "faults-begin").c_str(), O_RDONLY);  // seen by the script; no such file
  if (marker >= 0) ::close(marker);
  train::CheckpointStore store(directory, 2);
  run.advance();
  run.save(store, true);
  run.save(store, false);  // the same step again
  run.advance();
  run.state.evaluation_due = true;
  run.save(store, false);
  run.state.evaluation_due = false;
  run.state.best = 0.5;
  run.state.best_step = run.state.step;
  store.update(run.state, true);
}

void verify(const fs::path& directory) {
  Run run;
  train::CheckpointStore store(directory, 2);
  for (const std::string& path : store.all()) {
    run.load(path);
    bool evaluated = run.state.best_step == run.state.step;
    if (evaluated && run.state.evaluation_due)
      throw Error(str(path, ": the state of before an evaluation and of after it"));
    for (const auto& entry : fs::directory_iterator(path))
      if (entry.path().extension() == ".tmp")
        throw Error(str(entry.path().string(), ": left behind"));
  }
  if (store.best()) run.load(*store.best());
  run.load(store.last().value());
  std::printf("%lld\n", static_cast<long long>(run.state.step));
  run.advance();
  run.save(store, false);
  run.load(store.last().value());
  for (const auto& entry : fs::directory_iterator(directory))
    if (entry.path().extension() == ".tmp")
      throw Error(str(entry.path().string(), ": left behind"));
}
}  // namespace

int main(int argc, char** argv) {
  try {
    if (argc == 3 && std::string(argv[1]) == "save") return save(argv[2]), 0;
    if (argc == 3 && std::string(argv[1]) == "verify") return verify(argv[2]), 0;
    std::fprintf(stderr, "usage: kill_points save|verify DIR\n");
    return 2;
  } catch (const IoError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 3;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "unexpected: %s\n", error.what());
    return 4;
  }
}
