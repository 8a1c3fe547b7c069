// Checkpoints: what is in them, what is kept, and what bad ones say.
#include <heed/train/checkpoint.h>

#include <heed/tests/support/catch.h>
#include <heed/tests/train/toy.h>
#include <heed/train/files.h>

namespace heed::test {
using namespace train;

namespace {
// A trained model with its checkpoint at `step-12` in `directory`.
struct Saved {
  TempDir directory;
  Mlp model{3};
  AdamW optimizer{model.named_parameters()};
  TrainState state;
  fs::path path;

  Saved() {
    toy_loss(model, 0, 0).backward();
    optimizer.step(0.01);
    state.step = 12;
    state.epoch = 2;
    state.batch = 3;
    state.epoch_batches = 7;
    state.rng_seed = 0xfedcba9876543210u;
    state.rng_offset = 0xffffffffffffffffu;
    state.best = 0.1;
    state.best_step = 9;
    state.stale_evaluations = 1;
    state.evaluation_due = true;
    state.seconds = 1.0 / 3;
    state.tokens = 1234;
    state.window_loss["loss"] = {0.75, 8};
    state.train_loss = {{"loss", {0.1, 3}}, {"balance", {0.2, 5}}};
    state.schedule = "constant:lr=0.5,warmup=0";
    state.window_tokens = 8;
    state.window_steps = 2;
    CheckpointStore store(directory);
    path = store.save({model, &optimizer, state, "{\"width\": 16}\n",
                       [](const fs::path& at) {
                         fs::create_directories(at / "tokenizer");
                         spit(at / "tokenizer" / "vocab.txt", "a\nb\n");
                       }},
                      true);
  }
};

// Loading must fail and change nothing.
template <class E>
void require_refused(const fs::path& path, const std::string& part, Mlp& model,
                     Optimizer& optimizer) {
  auto weights = bits(model.state_dict()), moments = bits(optimizer.state_dict());
  REQUIRE_THROWS_SAYING(load_checkpoint(path, model, &optimizer), E, part);
  REQUIRE(bits(model.state_dict()) == weights);
  REQUIRE(bits(optimizer.state_dict()) == moments);
}
void require_refused(const fs::path& path, const std::string& part) {
  Mlp model{4};
  AdamW optimizer(model.named_parameters());
  require_refused<IoError>(path, part, model, optimizer);
}
}  // namespace

TEST_CASE("a checkpoint gives back all that went in", "[checkpoint]") {
  Saved saved;
  REQUIRE(saved.path == saved.directory / "step-12");
  Mlp model{4};
  AdamW optimizer(model.named_parameters());
  TrainState s = load_checkpoint(saved.path, model, &optimizer);
  REQUIRE(bits(model.state_dict()) == bits(saved.model.state_dict()));
  REQUIRE(bits(optimizer.state_dict()) == bits(saved.optimizer.state_dict()));
  REQUIRE(optimizer.step_count() == 1);
  const TrainState& t = saved.state;
  REQUIRE(s.step == t.step);
  REQUIRE(s.epoch == t.epoch);
  REQUIRE(s.batch == t.batch);
  REQUIRE(s.epoch_batches == t.epoch_batches);
  REQUIRE(s.rng_seed == t.rng_seed);
  REQUIRE(s.rng_offset == t.rng_offset);
  REQUIRE(s.best == t.best);
  REQUIRE(s.best_step == t.best_step);
  REQUIRE(s.stale_evaluations == t.stale_evaluations);
  REQUIRE(s.evaluation_due);
  REQUIRE(s.seconds == t.seconds);
  REQUIRE(s.tokens == t.tokens);
  REQUIRE(s.window_loss == t.window_loss);
  REQUIRE(s.train_loss == t.train_loss);
  REQUIRE(s.schedule == t.schedule);
  REQUIRE(s.window_tokens == t.window_tokens);
  REQUIRE(s.window_steps == t.window_steps);
  REQUIRE(read_config(saved.path) == "{\"width\": 16}\n");
  REQUIRE(slurp(saved.path / "tokenizer" / "vocab.txt") == "a\nb\n");
  REQUIRE(slurp(saved.directory / "last") == "step-12\n");
  REQUIRE(find_checkpoint(saved.directory) == saved.path);
  REQUIRE(find_checkpoint(saved.directory, true) == saved.path);
  REQUIRE(find_checkpoint(saved.path) == saved.path);
  REQUIRE((has_checkpoint(saved.directory) && has_checkpoint(saved.path)));
  REQUIRE_FALSE(has_checkpoint(saved.path / "nowhere"));
}

TEST_CASE("weights alone load without an optimizer", "[checkpoint]") {
  Saved saved;
  Mlp model{4};
  load_checkpoint(saved.path, model);
  REQUIRE(bits(model.state_dict()) == bits(saved.model.state_dict()));
}

TEST_CASE("a run that stopped before its first evaluation has no best checkpoint", "[checkpoint]") {
  Saved saved;
  fs::remove(saved.directory / "best");
  REQUIRE_THROWS_SAYING(find_checkpoint(saved.directory, true), IoError,
                        "stopped before its first evaluation; resume it, or name a checkpoint, "
                        "such as " +
                            saved.path.string());
}

TEST_CASE("the newest and the best checkpoints are kept", "[checkpoint]") {
  TempDir directory;
  Mlp model;
  CheckpointStore store(directory, 2);
  for (int64_t step = 1; step <= 6; ++step) {
    TrainState state;
    state.step = step * 5;
    store.save({.model = model, .state = state}, step == 2);
  }
  std::vector<std::string> names;
  for (const auto& path : store.all()) names.push_back(fs::path(path).filename().string());
  REQUIRE(names == std::vector<std::string>{"step-10", "step-25", "step-30"});
  REQUIRE(fs::path(*store.last()).filename() == "step-30");
  REQUIRE(fs::path(*store.best()).filename() == "step-10");
  REQUIRE(fs::path(last_checkpoints(directory, 2).front()).filename() == "step-25");
  REQUIRE(last_checkpoints(directory, 99).size() == 3);
  spit(directory / "last", "step-7\n");  // names what is not there
  REQUIRE(fs::path(*store.last()).filename() == "step-30");
  spit(directory / "last", "../../step-30\n");
  REQUIRE(fs::path(*store.last()).filename() == "step-30");
}

TEST_CASE("a step that is saved again replaces the old one", "[checkpoint]") {
  Saved saved;
  CheckpointStore store(saved.directory);
  saved.state.tokens = 99;
  store.save({.model = saved.model, .state = saved.state});
  REQUIRE(read_train_state(saved.path).tokens == 99);
  REQUIRE_FALSE(fs::exists(saved.path / "tokenizer"));
  REQUIRE_FALSE(fs::exists(saved.directory / "step-12.tmp"));
}

TEST_CASE("what an interrupted save left behind goes away", "[checkpoint]") {
  Saved saved;
  fs::create_directories(saved.directory / "step-13.tmp");
  spit(saved.directory / "step-13.tmp" / "weights.safetensors", "half");
  spit(saved.directory / "last.tmp", "st");
  spit(saved.directory / "notes.tmp", "mine");
  CheckpointStore store(saved.directory);
  REQUIRE_FALSE(fs::exists(saved.directory / "step-13.tmp"));
  REQUIRE_FALSE(fs::exists(saved.directory / "last.tmp"));
  REQUIRE(fs::exists(saved.directory / "notes.tmp"));
  REQUIRE(store.last() == saved.path);
}

TEST_CASE("a save that fails leaves the last checkpoint as it was", "[checkpoint]") {
  Saved saved;
  CheckpointStore store(saved.directory);
  saved.state.step = 13;
  auto fail = [](const fs::path&) { throw IoError("tokenizer: disk full"); };
  CheckpointContent content{saved.model, &saved.optimizer, saved.state, "", fail};
  REQUIRE_THROWS_SAYING(store.save(content), IoError, "disk full");
  REQUIRE_FALSE(fs::exists(saved.directory / "step-13.tmp"));
  REQUIRE(store.all().size() == 1);
  read_train_state(*store.last());
}

TEST_CASE("damaged checkpoints are refused and nothing changes", "[checkpoint]") {
  Saved saved;
  for (std::string name :
       {"weights.safetensors", "optimizer.safetensors", "config.json", "tokenizer/vocab.txt"}) {
    INFO(name);
    fs::path file = saved.path / name;
    std::string good = slurp(file);
    spit(file, good.substr(0, good.size() / 2));
    require_refused(saved.path, name);
    spit(file, "");
    require_refused(saved.path, "bytes expected, got 0");
    std::string flipped = good;
    flipped[good.size() / 2] = static_cast<char>(flipped[good.size() / 2] ^ 1);
    spit(file, flipped);
    require_refused(saved.path, "its content was changed");
    spit(file, good + "x");
    require_refused(saved.path, "bytes expected, got");
    fs::remove(file);
    require_refused(saved.path, "missing");
    spit(file, good);
  }
  require_refused(saved.directory / "step-99", "no such checkpoint");
  fs::remove(saved.path / "state.json");
  require_refused(saved.path, "state.json");
}

TEST_CASE("a damaged state.json is refused", "[checkpoint]") {
  Saved saved;
  fs::path file = saved.path / "state.json";
  const std::string good = slurp(file);
  Mlp model{4};
  AdamW optimizer(model.named_parameters());
  auto before = bits(model.state_dict());
  for (size_t size = 0; size + 2 < good.size(); ++size) {  // the last two bytes are } and a newline
    spit(file, good.substr(0, size));
    REQUIRE_THROWS_AS(load_checkpoint(saved.path, model, &optimizer), IoError);
  }
  // A flipped bit is seen, or was in the white space between.
  int seen = 0;
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 1);
    spit(file, bad);
    try {
      read_train_state(saved.path);
      REQUIRE(std::isspace(static_cast<unsigned char>(good[i])));
    } catch (const IoError& error) {
      REQUIRE_THAT(std::string(error.what()), ContainsSubstring("state.json"));
      ++seen;
    }
  }
  REQUIRE(seen > 500);
  auto with = [&](const std::string& text, const char* part) {
    spit(file, text);
    require_refused(saved.path, part);
  };
  with("[]", "an object expected");
  with("{}", "format");
  with("{\"format\": 2}", "format 1 expected, got 2");
  with("{\"format\": \"1\"}", "format: an integer");
  with("{\"format\": 1, \"state\": {}}", "crc32");
  with("{\"format\": 1, \"state\": 3, \"crc32\": \"\"}", "an object expected");
  with(std::string(100000, '['), "no valid JSON");
  REQUIRE(bits(model.state_dict()) == before);
}

TEST_CASE("a checkpoint of another model is refused before anything changes", "[checkpoint]") {
  Saved saved;
  Mlp wide{4, 24};
  AdamW optimizer(wide.named_parameters());
  require_refused<ValueError>(saved.path, "step-12", wide, optimizer);
  require_refused<ValueError>(saved.path, "first.weight", wide, optimizer);
  Mlp model{4};
  Sgd sgd(model.named_parameters());
  require_refused<ValueError>(saved.path, "optimizer 'adamw', not 'sgd'", model, sgd);
  // The optimizer fits, the model does not.
  struct Extra : Mlp {
    Tensor more = zeros({2});
    Extra() { register_buffer("more", more); }
  } extra;
  AdamW fits(extra.named_parameters());
  require_refused<ValueError>(saved.path, "more", extra, fits);
  // The model fits, the optimizer has only a part of its parameters.
  AdamW part(nn::NamedTensors{model.named_parameters()[0]});
  require_refused<ValueError>(saved.path, "unexpected", model, part);
}

TEST_CASE("parameters are averaged in double, buffers are the last", "[checkpoint]") {
  struct Model : Mlp {
    Tensor projection = zeros({2, 3});
    explicit Model(uint64_t seed) : Mlp(seed) {
      projection.fill_(1.5 * static_cast<double>(seed));
      register_buffer("projection", projection);
    }
  };
  TempDir directory;
  CheckpointStore store(directory, 3);
  std::map<std::string, std::vector<double>> sums;
  for (uint64_t i = 1; i <= 3; ++i) {
    Model other(i);
    other.count.fill_(static_cast<double>(i));
    TrainState state;
    state.step = static_cast<int64_t>(i);
    store.save({.model = other, .state = state});
    for (auto& [name, value] : other.named_parameters()) {
      auto values = value.to_vector();
      auto& sum = sums[name];
      sum.resize(values.size());
      for (size_t j = 0; j < values.size(); ++j) sum[j] += values[j];
    }
  }
  Model model(4), third(3);
  load_average(last_checkpoints(directory, 3), model);
  REQUIRE(model.named_parameters().size() == sums.size());
  for (auto& [name, value] : model.named_parameters()) {
    auto values = value.to_vector();
    for (size_t j = 0; j < values.size(); ++j)
      REQUIRE(values[j] == static_cast<double>(static_cast<float>(sums[name][j] / 3)));
  }
  REQUIRE(model.count.item() == 3);
  REQUIRE(model.projection.to_vector() == third.projection.to_vector());

  Mlp narrow(1);
  REQUIRE_THROWS_SAYING(load_average(last_checkpoints(directory, 3), narrow), ValueError,
                        "projection");
  Mlp wide(1, 24);
  TrainState state;
  state.step = 4;
  store.save({.model = wide, .state = state});
  REQUIRE_THROWS_SAYING(load_average(last_checkpoints(directory, 2), model), ValueError, "step-4");
  REQUIRE_THROWS_SAYING(load_average({}, model), ValueError, "no checkpoints");
  TempDir empty;
  REQUIRE_THROWS_SAYING(last_checkpoints(empty, 2), IoError, "no checkpoint");
  REQUIRE_THROWS_SAYING(find_checkpoint(empty), IoError, "no checkpoint");
  REQUIRE_FALSE(has_checkpoint(empty));
  REQUIRE_THROWS_SAYING(find_checkpoint(empty, true), IoError, "no checkpoint: neither");
}

}  // namespace heed::test
