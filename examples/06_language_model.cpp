// A small language model: it reads a text letter by letter and learns what comes next; then it
// writes. About a minute on two cores.
#include <cstdio>
#include <string>

#include <heed/heed.h>

using namespace heed;

// A text with structure to learn: sentences of a small English grammar.
std::string make_text() {
  std::string text;
  for (const std::string& sentence : data::make_toy_pairs(6000, 1).source) text += sentence + "\n";
  return text;
}

int main() try {
  manual_seed(1);
  std::string text = make_text();

  // Each byte is a token: no vocabulary to build, no word unknown.
  data::ByteTokenizer tokenizer;
  std::vector<int64_t> ids = tokenizer.encode(text);
  std::printf("%zu letters, such as: %.70s..\n", ids.size(),
              text.substr(0, text.find('\n')).c_str());

  // GPT-2's layout, small: 4 layers, 128 wide.
  models::LanguageModelConfig config = models::language_model_preset("nano");
  config.vocab = tokenizer.size();
  config.context = 64;
  config.stack.layer.dropout = 0;
  models::LanguageModel model(config);
  std::printf("%lld parameters\n", static_cast<long long>(model.parameter_count()));

  // Batches of 32 windows of 64 letters; the target of each letter is the next one.
  data::TokenWindows windows(ids, {.batch = 32, .length = 64, .seed = 1});
  train::AdamW optimizer(train::decay_matrices(model, {.beta2 = 0.99, .weight_decay = 0.1}));
  constexpr int64_t kSteps = 400;
  train::Schedule schedule = train::cosine_schedule(3e-3, kSteps, 40);

  train::Progress progress;
  for (int64_t step = 1; step <= kSteps; ++step) {
    data::TokenBatch batch =
        windows.get((step - 1) / windows.count(0), (step - 1) % windows.count(0));
    Tensor loss = model.loss(Tensor(batch.inputs), Tensor(batch.targets));
    loss.backward();
    optimizer.clip_grad_norm(1);
    optimizer.step(schedule(step));
    optimizer.zero_grad();
    // The loss is the mean of -log P(next letter); without learning it is log(260) = 5.56.
    progress.update(step, kSteps, str("step ", step, "  loss ", loss.item()));
    // A gradient that is not finite is left out, and so is every later one: ask, or it goes unseen.
    if (auto failed = optimizer.failed_step())
      throw NumericError(str("step ", *failed, ": the gradients are not finite"));
    if (step % 100 == 0)
      std::printf("step %3lld  loss %.3f\n", static_cast<long long>(step), loss.item());
  }
  progress.finish();

  // One letter after another, drawn from what the model thinks likely. Low temperature: careful;
  // high: daring.
  model.eval();
  for (double temperature : {0.0, 0.7, 1.3}) {
    auto made = models::generate(model, tokenizer.encode("the "),
                                 {.max_tokens = 200, .temperature = temperature, .seed = 3});
    std::printf("\ntemperature %.1f:\nthe %s\n", temperature, tokenizer.decode(made).c_str());
  }
} catch (const std::exception& error) {
  std::fprintf(stderr, "06_language_model: %s\n", error.what());
  return 1;
}
