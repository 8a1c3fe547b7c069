// The recurrent translation model.
#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/models/seq2seq.h>
#include <heed/tests/models/small_models.h>

using namespace heed;
using namespace heed::test;

namespace {

models::Seq2SeqConfig small(const std::string& attention, const std::string& cell = "gru") {
  models::Seq2SeqConfig c;
  c.vocab = 24;
  c.width = 32;
  c.attention = attention;
  c.cell = cell;
  c.dropout = 0;
  c.max_length = 16;
  return c;
}

// At most `longest` tokens a row.
std::vector<std::vector<int64_t>> greedy(const models::Seq2Seq& model, const Tensor& source,
                                         const Lengths& lengths, int64_t longest) {
  models::BeamOptions options{
      .beam = 1, .length_penalty = 0, .length_factor = 0, .length_extra = longest};
  std::vector<std::vector<int64_t>> out;
  for (auto& list : models::beam_search(model, {source, lengths}, options))
    out.push_back(list.front().tokens);
  return out;
}

std::vector<int64_t> until_eos(const Tensor& target_out, int64_t row) {
  std::vector<int64_t> tokens;
  for (double x : target_out[row].to_vector()) {
    if (x == 3) break;
    tokens.push_back(static_cast<int64_t>(x));
  }
  return tokens;
}

}  // namespace

TEST_CASE("seq2seq: learns a batch, and then says it by heart", "[seq2seq]") {
  auto [attention, cell] =
      GENERATE(table<std::string, std::string>({{"additive", "gru"},
                                                {"luong:score=general", "lstm"},
                                                {"linformer:k=6", "gru"},
                                                {"none", "lstm"}}));
  CAPTURE(attention, cell);
  manual_seed(3);
  models::Seq2Seq model(small(attention, cell));
  models::TranslationBatch batch = make_batch(6, 5, 24, 1);
  train::Adam optimizer(model.named_parameters(), {.beta2 = 0.98});
  for (int step = 0; step < 120; ++step) {
    model.loss(batch).backward();
    optimizer.clip_grad_norm(1);
    optimizer.step(1e-2);
    optimizer.zero_grad();
  }
  REQUIRE(model.loss(batch).item() < 0.1);
  model.eval();
  auto said = greedy(model, batch.source, batch.source_lengths, 10);
  for (int64_t row = 0; row < 6; ++row)
    REQUIRE(said[static_cast<size_t>(row)] == until_eos(batch.target_out, row));
  if (attention == "none") return;
  Tensor map = model.weights(batch);
  REQUIRE(map.shape() == Shape{6, 6, 5});
}

TEST_CASE("seq2seq: padding of the source changes nothing", "[seq2seq]") {
  std::string attention = GENERATE(as<std::string>(), "additive", "luong", "none");
  models::Seq2Seq model(small(attention));
  models::TranslationBatch batch = make_batch(4, 6, 24, 2);
  double whole = model.loss(batch).item();
  batch.source = pad(batch.source, 1, 0, 3, 5);
  REQUIRE(std::fabs(model.loss(batch).item() - whole) < 1e-5);
  model.eval();
  auto all = greedy(model, batch.source, batch.source_lengths, 8);
  int64_t length = batch.source_lengths[2];
  auto one = greedy(model, batch.source.slice(0, 2, 3).slice(1, 0, length), {length}, 8);
  REQUIRE(one[0] == all[2]);
}

TEST_CASE("seq2seq: refusals", "[seq2seq]") {
  REQUIRE_THROWS_SAYING(models::Seq2Seq(small("nystrom")), ValueError,
                        "attention 'nystrom' cannot stand between");
  REQUIRE_THROWS_SAYING(models::Seq2Seq(small("nothing")), ValueError, "unknown variant 'nothing'");
  REQUIRE_THROWS_SAYING(models::Seq2Seq(small("luong", "rnn")), ValueError, "there are gru, lstm");
  models::Seq2SeqConfig odd = small("luong");
  odd.width = 7;
  REQUIRE_THROWS_SAYING(models::Seq2Seq(odd), ValueError, "an even width");
  models::Seq2Seq model(small("none"));
  models::TranslationBatch batch = make_batch(2, 4, 24, 2);
  REQUIRE_THROWS_SAYING(model.weights(batch), ValueError, "no weights without attention");
  REQUIRE_THROWS_SAYING(greedy(model, batch.source, batch.source_lengths, 3), ValueError,
                        "training mode");
}
