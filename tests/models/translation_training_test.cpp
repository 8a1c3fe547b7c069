// The toy language pair through the whole library: it is learned, and a run that was stopped goes
// on to the bit.
#include <heed/data/batches.h>
#include <heed/data/toy_translation.h>
#include <heed/data/vocab.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/models/small_models.h>
#include <heed/train/trainer.h>

using namespace heed;
using namespace heed::test;

namespace {
struct ToyTask {
  data::ParallelCorpus corpus = data::make_toy_pairs(300, 5);
  data::WordVocab vocab = make_vocab();
  data::PairBatches batches{data::encode_pairs(vocab, vocab, corpus.source, corpus.target),
                            {.max_tokens = 500, .seed = 2}};

  data::WordVocab make_vocab() const {
    std::vector<std::string> lines = corpus.source;
    lines.insert(lines.end(), corpus.target.begin(), corpus.target.end());
    return data::WordVocab::build(lines);
  }
  models::TransformerConfig config() const {
    models::TransformerConfig c = small_config();
    c.vocab = vocab.size();
    c.layer.dropout = 0.1;
    return c;
  }
  models::TranslationBatch batch(int64_t epoch, int64_t index) const {
    data::PairBatch b = batches.get(epoch, index);
    return {Tensor(b.source), b.source_lengths, Tensor(b.target_in), Tensor(b.target_out)};
  }

  // Up to `steps`; the weights at the end.
  std::map<std::string, std::vector<double>> train(const std::filesystem::path& out, int64_t steps,
                                                   bool resume, DType dtype = DType::f32) const {
    manual_seed(9);
    models::Transformer model(config());
    model.to(dtype);
    train::Adam optimizer(model.named_parameters(), {.beta2 = 0.98});
    train::TrainTask task;
    task.batches = [&](int64_t epoch) { return batches.count(epoch); };
    task.step = [&](int64_t epoch, int64_t index) -> train::StepResult {
      return {model.loss(batch(epoch, index), 0.1), 1};
    };
    train::TrainerConfig c;
    c.max_steps = steps;
    c.clip_norm = 1;
    c.out_dir = out;
    c.resume = resume;
    c.seed = 9;
    c.config = models::to_json(model.config());
    c.quiet = true;
    train::Trainer(model, optimizer, train::inverse_sqrt_schedule(5e-3, 10), task, c).run();
    std::map<std::string, std::vector<double>> weights;
    for (const auto& [name, tensor] : model.state_dict()) weights[name] = tensor.to_vector();
    for (const auto& [name, tensor] : optimizer.state_dict())
      weights["optimizer." + name] = tensor.to_vector();
    return weights;
  }

  // The loss after so many steps on the first batch alone, without dropout.
  double overfit(DType dtype, int64_t steps) const {
    manual_seed(1);
    models::TransformerConfig c = config();
    c.layer.dropout = 0;
    models::Transformer model(c);
    model.to(dtype);
    train::Adam optimizer(model.named_parameters(), {.beta2 = 0.98});
    double loss = 0;
    for (int64_t i = 0; i < steps; ++i) {
      Tensor now = model.loss(batch(0, 0));
      REQUIRE(now.dtype() == DType::f32);
      now.backward();
      for (const Tensor& p : model.parameters()) REQUIRE(p.grad().dtype() == dtype);
      optimizer.clip_grad_norm(1);
      optimizer.step(5e-3 * std::min(1.0, static_cast<double>(i + 1) / 10));
      optimizer.zero_grad();
      loss = now.item();
    }
    return loss;
  }
};
}  // namespace

TEST_CASE("translation: a stopped run goes on to the bit, inside an epoch and across its end") {
  ToyTask task;
  TempDir whole, parts;
  int64_t count = task.batches.count(0), total = count + 3;
  REQUIRE(count > 3);
  auto expected = task.train(whole.path(), total, false);
  task.train(parts.path(), 2, false);
  task.train(parts.path(), count + 1, true);
  REQUIRE(task.train(parts.path(), total, true) == expected);
}

TEST_CASE("translation: in bf16 too a stopped run goes on to the bit") {
  ToyTask task;
  TempDir whole, parts;
  auto expected = task.train(whole.path(), 4, false, DType::bf16);
  REQUIRE(expected.contains("optimizer.embedding.weight.master"));
  task.train(parts.path(), 2, false, DType::bf16);
  REQUIRE(task.train(parts.path(), 4, true, DType::bf16) == expected);
}

TEST_CASE("translation: bf16 overfits a batch about as well as f32") {
  ToyTask task;
  constexpr int64_t kSteps = 60;
  double single = task.overfit(DType::f32, kSteps), half = task.overfit(DType::bf16, kSteps);
  INFO("f32 " << single << ", bf16 " << half);
  REQUIRE(single < 0.5);
  REQUIRE(half < 1.15 * single + 0.05);
}

TEST_CASE("translation: the checkpoint of another model is refused, and nothing is changed") {
  ToyTask task;
  TempDir run;
  task.train(run.path(), 1, false);
  auto directory = train::find_checkpoint(run.path());
  REQUIRE(models::transformer_from_json(train::read_config(directory)).vocab == task.vocab.size());

  models::TransformerConfig other = task.config();
  other.encoder_layers = 1;
  models::Transformer model(other);
  std::vector<double> before = model.state_dict().at("embedding.weight").to_vector();
  REQUIRE_THROWS_SAYING(train::load_checkpoint(directory, model), ValueError,
                        "checkpoint of another model");
  REQUIRE(model.state_dict().at("embedding.weight").to_vector() == before);
}

TEST_CASE("translation: loss falls on the toy pair") {
  ToyTask task;
  manual_seed(1);
  models::Transformer model(task.config());
  train::Adam optimizer(model.named_parameters(), {.beta2 = 0.98});
  double first = 0, last = 0;
  int64_t steps = 60, count = task.batches.count(0);
  for (int64_t i = 0; i < steps; ++i) {
    Tensor loss = model.loss(task.batch(i / count, i % count));
    loss.backward();
    optimizer.clip_grad_norm(1);
    optimizer.step(5e-3 * std::min(1.0, static_cast<double>(i + 1) / 20));
    optimizer.zero_grad();
    if (i == 0) first = loss.item();
    last = loss.item();
  }
  REQUIRE(last < 0.75 * first);
}

TEST_CASE("accumulated batches of 2 and 30 tokens equal one batch of both") {
  auto dtype = GENERATE(DType::f64, DType::f32);
  auto ids = [](int64_t n) {
    std::vector<int64_t> out;
    for (int64_t i = 0; i < n; ++i) out.push_back(4 + (5 * i + n) % 20);
    return out;
  };
  // With the end token 2 and 30 target tokens.
  data::PairBatches pairs({{ids(3), ids(1)}, {ids(20), ids(29)}}, {.max_tokens = 500});
  const std::vector<std::vector<int64_t>> small = {{0}, {1}}, large = {{0, 1}};
  auto update = [&](const std::vector<std::vector<int64_t>>& batches) {
    manual_seed(3);
    models::TransformerConfig c = small_config();
    c.vocab = 24;
    c.layer.dropout = 0;
    models::Transformer model(c);
    model.to(dtype);
    train::Sgd optimizer(model.named_parameters(), {});
    train::TrainTask task;
    auto count = static_cast<int64_t>(batches.size());
    task.batches = [&](int64_t) { return count; };
    auto batch = [&](int64_t i) { return pairs.make(batches[static_cast<size_t>(i)]); };
    task.step = [&](int64_t, int64_t i) -> train::StepResult {
      data::PairBatch b = batch(i);
      return {
          model.loss(
              {Tensor(b.source), b.source_lengths, Tensor(b.target_in), Tensor(b.target_out)}, 0.1),
          b.target_tokens};
    };
    task.weights = [&](int64_t, int64_t i) {
      return std::vector<double>{static_cast<double>(batch(i).target_tokens)};
    };
    train::TrainerConfig config;
    config.max_steps = 1;
    config.accumulate = count;
    config.clip_norm = 0.5;  // of the whole gradient
    config.quiet = true;
    double loss =
        train::Trainer(model, optimizer, train::constant_schedule(1.0), task, config).run().loss;
    std::map<std::string, std::vector<double>> out{{"loss", {loss}}};
    for (const auto& [name, tensor] : model.state_dict()) out[name] = tensor.to_vector();
    return out;
  };
  REQUIRE(pairs.make(small[0]).target_tokens == 2);
  REQUIRE(pairs.make(small[1]).target_tokens == 30);
  auto apart = update(small), together = update(large);
  double worst = 0;
  for (const auto& [name, values] : together)
    for (size_t i = 0; i < values.size(); ++i)
      worst = std::max(worst, std::abs(values[i] - apart.at(name)[i]));
  CHECK(worst < (dtype == DType::f64 ? 1e-12 : 1e-5));
}
