// Why attention was invented: a recurrent network translates, once with attention and once without,
// where the whole source has to fit into one vector. The longer the sentence, the more it helps.
//
//   07_recurrent_attention [pairs = 12000] [epochs = 8] [attention = additive] [cell = gru]
//
// Prints BLEU by source length and draws it (recurrent_attention.svg), with the attention's map of
// one sentence (recurrent_map.svg). Some minutes on two cores.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include <heed/heed.h>

using namespace heed;

struct Task {
  data::ParallelCorpus train, test;
  data::WordVocab vocab;
  int64_t epochs;
};

models::TranslationBatch to_tensors(const data::PairBatch& b) {
  return {Tensor(b.source), b.source_lengths, Tensor(b.target_in), Tensor(b.target_out)};
}

std::vector<data::TokenPair> encode(const Task& task, const data::ParallelCorpus& corpus) {
  return data::encode_pairs(task.vocab, task.vocab, corpus.source, corpus.target);
}

// Trains a model of this kind and returns its translations of the test sentences.
std::vector<std::string> learn(const Task& task, const std::string& attention,
                               const std::string& cell) {
  manual_seed(1);
  models::Seq2SeqConfig config;
  config.vocab = task.vocab.size();
  config.attention = attention;
  config.cell = cell;
  config.max_length = 64;  // for variants that ask; toy sentences have 20 tokens at most
  models::Seq2Seq model(config);
  data::PairBatches batches(encode(task, task.train), {.max_tokens = 2000, .seed = 1});
  train::Adam optimizer(model.named_parameters(), {.beta2 = 0.98});
  train::Schedule schedule =
      train::cosine_schedule(3e-3, task.epochs * batches.count(0) + 100, 100);
  std::printf("\nattention %s, %s, %lld parameters\n", attention.c_str(), cell.c_str(),
              static_cast<long long>(model.parameter_count()));
  for (int64_t epoch = 0; epoch < task.epochs; ++epoch) {
    double total = 0;
    for (int64_t i = 0; i < batches.count(epoch); ++i) {
      Tensor loss = model.loss(to_tensors(batches.get(epoch, i)), 0.1);
      loss.backward();
      optimizer.clip_grad_norm(1);
      optimizer.step(schedule(optimizer.step_count() + 1));
      optimizer.zero_grad();
      total += loss.item();
    }
    if (auto failed = optimizer.failed_step())
      throw NumericError(str("step ", *failed, ": the gradients are not finite"));
    std::printf("epoch %lld  loss %.3f\n", static_cast<long long>(epoch + 1),
                total / static_cast<double>(batches.count(epoch)));
    std::fflush(stdout);
  }

  model.eval();
  std::vector<std::string> said(task.test.source.size());
  std::vector<std::vector<int64_t>> sources;
  for (const std::string& line : task.test.source) sources.push_back(task.vocab.encode(line));
  models::BeamOptions greedy{
      .beam = 1, .length_penalty = 0, .length_factor = 0, .length_extra = 40};
  auto best = models::translate(model, sources, greedy);
  for (size_t i = 0; i < best.size(); ++i) said[i] = task.vocab.decode(best[i].tokens);
  if (attention == "none") return said;

  // Where does it look for each word? The true translation is given, word by word.
  std::vector<data::TokenPair> one(1, encode(task, task.test)[0]);
  data::PairBatch batch = data::PairBatches(one, {.shuffle = false}).get(0, 0);
  auto words = [&](const std::vector<int64_t>& ids) {
    std::vector<std::string> list;
    for (int64_t id : ids) list.push_back(task.vocab.piece(id));
    return list;
  };
  one[0].target.push_back(config.eos);
  viz::AttentionMap map{model.weights(to_tensors(batch))[0].array(), attention,
                        words(one[0].target), words(one[0].source)};
  viz::draw_maps({map}).save("recurrent_map.svg");
  return said;
}

int main(int argc, char** argv) try {
  auto number = [&](int i, int64_t fallback, int64_t low, const char* what) {
    if (argc <= i) return fallback;
    char* end = nullptr;
    int64_t value = std::strtoll(argv[i], &end, 10);
    if (*argv[i] == 0 || *end != 0 || value < low || value > 10'000'000)
      throw ValueError(
          str(what, " '", argv[i], "': a whole number of at least ", low,
              " expected; 07_recurrent_attention [PAIRS [EPOCHS [ATTENTION [CELL]]]]"));
    return value;
  };
  data::ParallelCorpus train = data::make_toy_pairs(number(1, 12000, 100, "PAIRS"), 1);
  std::vector<std::string> lines = train.source;
  lines.insert(lines.end(), train.target.begin(), train.target.end());
  Task task{train, data::make_toy_pairs(2000, 1, data::ToySplit::test),
            data::WordVocab::build(lines), number(2, 8, 1, "EPOCHS")};
  std::string attention = argc > 3 ? argv[3] : "additive", cell = argc > 4 ? argv[4] : "gru";

  const std::vector<std::string> names = {attention, "none"};
  std::vector<std::vector<std::string>> said;
  for (const std::string& name : names) said.push_back(learn(task, name, cell));

  const std::vector<int64_t> bounds = {4, 7, 9, 11, 13, 15, 21};  // source tokens: [4, 7), ..
  std::vector<std::string> ranges;
  std::vector<viz::Bars> bars;
  for (const std::string& name : names) bars.push_back({name, {}});
  std::printf("\n%-14s %9s %9s %9s\n", "source tokens", "sentences", names[0].c_str(), "none");
  for (size_t bin = 0; bin + 1 < bounds.size(); ++bin) {
    std::string range = str(bounds[bin], "-", bounds[bin + 1] - 1);
    std::vector<size_t> rows;
    for (size_t i = 0; i < task.test.source.size(); ++i) {
      auto n = static_cast<int64_t>(task.vocab.encode(task.test.source[i]).size());
      if (n >= bounds[bin] && n < bounds[bin + 1]) rows.push_back(i);
    }
    std::printf("%-14s %9zu", range.c_str(), rows.size());
    ranges.push_back(range);
    for (size_t m = 0; m < said.size(); ++m) {
      std::vector<std::string> ours, theirs;
      for (size_t i : rows) {
        ours.push_back(said[m][i]);
        theirs.push_back(task.test.target[i]);
      }
      bars[m].values.push_back(data::corpus_bleu(ours, theirs).score);
      std::printf(" %9.1f", bars[m].values.back());
    }
    std::printf("\n");
  }
  std::printf("%-14s %9zu", "all", task.test.source.size());
  for (const auto& lines_said : said)
    std::printf(" %9.1f", data::corpus_bleu(lines_said, task.test.target).score);
  viz::draw_bars(ranges, bars, {.title = "BLEU by source length", .x_label = "source tokens"})
      .save("recurrent_attention.svg");
  std::printf("\n\nwritten: recurrent_attention.svg, recurrent_map.svg\n");
} catch (const std::exception& error) {
  std::fprintf(stderr, "07_recurrent_attention: %s\n", error.what());
  return 1;
}
