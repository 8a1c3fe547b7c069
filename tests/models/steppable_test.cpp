// What every model that decodes step by step has to do, and what beam search and sampling do with
// any of them.
#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/softmax.h>
#include <heed/models/language_model.h>
#include <heed/models/read_best_tokens.h>
#include <heed/models/sample.h>
#include <heed/models/seq2seq.h>
#include <heed/tests/models/small_models.h>

using namespace heed;
using namespace heed::test;
using Tokens = std::vector<int64_t>;

namespace {

struct Any {
  std::unique_ptr<models::Steppable> model;
  models::DecodingInputs inputs;
};

// Three rows of inputs; made anew, the model is the same.
Any make(const std::string& kind) {
  manual_seed(8);
  models::TranslationBatch batch = make_batch(3, 5, 24, 4);
  Any any{nullptr, {batch.source, batch.source_lengths}};
  if (kind == "language model") {
    models::LanguageModelConfig c;
    c.vocab = 24;
    c.context = 12;
    c.stack.layer.width = 16;
    c.stack.layer.attention.heads = 2;
    c.stack.layers = 2;
    any.model = std::make_unique<models::LanguageModel>(c);
    any.inputs = {.prompts = {{5, 6}, {7, 8}, {9, 4}}};
  } else if (kind == "transformer") {
    any.model = std::make_unique<models::Transformer>(small_config());
  } else {
    models::Seq2SeqConfig c;
    c.vocab = 24;
    c.width = 16;
    c.cell = kind == "lstm, no attention" ? "lstm" : "gru";
    c.attention = kind == "lstm, no attention" ? "none" : "luong";
    any.model = std::make_unique<models::Seq2Seq>(c);
  }
  any.model->eval();
  return any;
}

std::string any_kind() {
  return GENERATE(as<std::string>(), "transformer", "language model", "gru, luong",
                  "lstm, no attention");
}

const std::vector<Tokens> kTexts = {{2, 7, 9, 4, 11}, {2, 20, 21, 5, 6}, {2, 8, 8, 15, 10}};

Tensor columns(const std::vector<int64_t>& rows, int64_t begin, int64_t end) {
  Tokens ids;
  for (int64_t r : rows) {
    const Tokens& text = kTexts[static_cast<size_t>(r)];
    ids.insert(ids.end(), text.begin() + begin, text.begin() + end);
  }
  return integers(ids, {static_cast<int64_t>(rows.size()), end - begin});
}

}  // namespace

TEST_CASE("steppable: tokens come one by one or together; rows move", "[steppable]") {
  std::string kind = any_kind();
  CAPTURE(kind);
  Any any = make(kind);
  auto one_by_one = any.model->start(any.inputs);
  std::vector<Tensor> logits;
  for (int64_t t = 0; t < 5; ++t) logits.push_back(one_by_one->step(columns({0, 1, 2}, t, t + 1)));
  REQUIRE(one_by_one->length() == 5);
  for (int64_t cut = 1; cut < 5; ++cut) {
    auto parts = any.model->start(any.inputs);
    size_t first = static_cast<size_t>(cut) - 1;
    REQUIRE(largest_difference(parts->step(columns({0, 1, 2}, 0, cut)), logits[first]) < 1e-5);
    REQUIRE(largest_difference(parts->step(columns({0, 1, 2}, cut, 5)), logits[4]) < 1e-5);
  }
  // Each row goes on as it would have: moved among rows of other inputs, and in place.
  for (const Tokens& rows : {Tokens{2, 0, 0, 1}, Tokens{1}, Tokens{0, 1, 2}}) {
    auto moved = any.model->start(any.inputs);
    moved->step(columns({0, 1, 2}, 0, 3));
    moved->select(rows);
    REQUIRE(moved->rows() == static_cast<int64_t>(rows.size()));
    REQUIRE(moved->input_rows() == rows);
    moved->step(columns(rows, 3, 4));
    Tokens back(rows.size());  // reversed; the source of each row is still its own
    for (size_t r = 0; r < rows.size(); ++r) back[r] = static_cast<int64_t>(rows.size() - 1 - r);
    moved->select(back);
    Tokens now(rows.rbegin(), rows.rend());
    Tensor last = moved->step(columns(now, 4, 5));
    for (size_t r = 0; r < now.size(); ++r) {
      auto row = static_cast<int64_t>(r);
      REQUIRE(largest_difference(last[row], logits[4][now[r]]) < 1e-5);
    }
  }
}

TEST_CASE("steppable: beams of one input keep what was made of it", "[steppable]") {
  std::string kind = any_kind();
  Any any = make(kind);
  auto expected = any.model->start(any.inputs), moved = any.model->start(any.inputs);
  expected->select({1, 1});
  expected->step(columns({1, 0}, 0, 2));
  moved->select({1, 1});
  moved->step(columns({0, 1}, 0, 2));
  moved->select({1, 0});  // same inputs
  REQUIRE(moved->input_rows() == Tokens{1, 1});
  REQUIRE(largest_difference(moved->step(columns({2, 2}, 2, 3)),
                             expected->step(columns({2, 2}, 2, 3))) < 1e-6);
}

TEST_CASE("steppable: refusals", "[steppable]") {
  std::string kind = any_kind();
  Any any = make(kind);
  auto decoding = any.model->start(any.inputs);
  REQUIRE_THROWS_AS(decoding->step(columns({0, 1}, 0, 1)), ShapeError);
  REQUIRE_THROWS_AS(decoding->step(zeros({3}, DType::i64)), ShapeError);
  REQUIRE_THROWS_SAYING(decoding->select({3}), ValueError, "row 3 asked for, there are 3");
  models::DecodingInputs other = any.inputs.source.defined()
                                     ? models::DecodingInputs{.prompts = {{2}}}
                                     : models::DecodingInputs{zeros({1, 2}, DType::i64)};
  REQUIRE_THROWS_SAYING(any.model->start(other), ValueError, "expected");
  models::DecodingInputs uneven = any.inputs;
  uneven.prompts = {{2, 4}, {2}, {2, 5}};
  REQUIRE_THROWS_SAYING(models::sample(*any.model, uneven), ValueError, "prompts of one length");
  uneven.prompts = {{2}, {24}, {2}};
  REQUIRE_THROWS_SAYING(models::sample(*any.model, uneven), ValueError,
                        "token 24 of a prompt is outside the vocabulary of 24");
  uneven.prompts = {{2}, {}, {2}};
  REQUIRE_THROWS_SAYING(models::beam_search(*any.model, uneven), ValueError, "prompt");
  any.model->train();
  REQUIRE_THROWS_SAYING(any.model->start(any.inputs), ValueError, "training mode");
}

TEST_CASE("steppable: greedy search, and sampling at temperature 0, are the same", "[steppable]") {
  Any any = make(any_kind());
  auto found =
      models::beam_search(*any.model, any.inputs,
                          {.beam = 1, .length_penalty = 0, .length_factor = 0, .length_extra = 20});
  auto drawn = models::sample(*any.model, any.inputs, {.max_tokens = 20, .temperature = 0});
  for (size_t r = 0; r < 3; ++r) REQUIRE(drawn[r] == found[r].front().tokens);
  // So are the rows, in a batch and alone, and at other temperatures seeds differ.
  auto warm = [&](uint64_t seed) {
    return models::sample(*any.model, any.inputs, {.max_tokens = 20, .seed = seed});
  };
  REQUIRE(warm(1) == warm(1));
  REQUIRE(warm(1) != warm(2));
}

TEST_CASE("steppable: rules hold in beam search and in sampling", "[steppable]") {
  Any any = make(any_kind());
  models::TokenRules rules{.forbidden = {3, 10, 11}, .no_repeat_ngram = 2};
  std::vector<Tokens> texts =
      models::sample(*any.model, any.inputs, {.max_tokens = 30, .seed = 3, .rules = rules});
  for (auto& list :
       models::beam_search(*any.model, any.inputs,
                           {.beam = 3, .length_factor = 0, .length_extra = 30, .rules = rules}))
    for (auto& h : list) texts.push_back(h.tokens);
  models::Vocabulary vocabulary = any.model->vocabulary();
  for (const Tokens& text : texts) {
    REQUIRE(text.size() == 30);  // without an end, the eos being forbidden
    for (size_t i = 0; i < text.size(); ++i) {
      REQUIRE((text[i] != 3 && text[i] != 10 && text[i] != 11));
      REQUIRE((text[i] != vocabulary.pad && text[i] != vocabulary.bos));
      for (size_t j = 1; j < i; ++j)
        REQUIRE_FALSE((i > 0 && text[j] == text[i] && text[j - 1] == text[i - 1]));
    }
  }
  // No token twice: the vocabulary is used up, and the text ends.
  models::TokenRules once{.no_repeat_ngram = 1};
  for (const Tokens& text :
       models::sample(*any.model, any.inputs, {.max_tokens = 60, .stop = 1000, .rules = once})) {
    Tokens sorted = text;
    std::sort(sorted.begin(), sorted.end());
    REQUIRE(std::adjacent_find(sorted.begin(), sorted.end()) == sorted.end());
    REQUIRE(text.size() == 22);  // 24 without pad and bos, or without a prompt of two
  }
  for (const auto& list : models::beam_search(
           *any.model, any.inputs,
           {.beam = 2, .length_factor = 0, .length_extra = 60, .stop = 1000, .rules = once})) {
    REQUIRE(list.front().tokens.size() == 22);
    REQUIRE_FALSE(list.front().ended);
  }
}

TEST_CASE("token rules: the repetition penalty as in CTRL", "[steppable]") {
  Tensor logits = Tensor::from(std::vector<float>{2, -2, 1, 0, 4, -4, 1, 8}, {2, 4});
  models::Texts texts = {{0, 1, 1}, {3}};
  Tensor same = models::penalize(logits, {}, texts);
  REQUIRE(same.impl() == logits.impl());
  REQUIRE(models::penalize(logits, {.repetition_penalty = 2}, texts).to_vector() ==
          std::vector<double>{1, -4, 1, 0, 4, -4, 1, 4});
  // A strong one leaves no token twice, in either search.
  Any any = make("language model");
  models::TokenRules strong{.repetition_penalty = 1e9};
  Tokens drawn =
      models::generate(*any.model, {5}, {.max_tokens = 8, .temperature = 0, .rules = strong});
  auto found = models::beam_search(*any.model, {.prompts = {{5}}},
                                   {.beam = 1, .length_extra = 8, .rules = strong});
  REQUIRE(found[0][0].tokens == drawn);
  std::sort(drawn.begin(), drawn.end());
  REQUIRE(std::adjacent_find(drawn.begin(), drawn.end()) == drawn.end());
}

TEST_CASE("token rules: n-grams and bad rules", "[steppable]") {
  models::Vocabulary none{.size = 10}, marked{.size = 10, .pad = 0, .bos = 2, .eos = 3};
  using Lists = std::vector<Tokens>;
  models::Texts texts = {{1, 2, 3, 1, 2}, {4}, {5, 5}};
  REQUIRE(models::forbidden_tokens({}, none, texts) == Lists{{}, {}, {}});
  REQUIRE(models::forbidden_tokens({.forbidden = {7, 7}}, marked, {{1}}) == Lists{{0, 2, 7}});
  REQUIRE(models::forbidden_tokens({.no_repeat_ngram = 3}, none, texts) == Lists{{3}, {}, {}});
  REQUIRE(models::forbidden_tokens({.no_repeat_ngram = 2}, none, texts) == Lists{{3}, {}, {5}});
  REQUIRE(models::forbidden_tokens({.no_repeat_ngram = 1}, none, texts) ==
          Lists{{1, 2, 3}, {4}, {5}});
  REQUIRE_THROWS_SAYING(models::check({.forbidden = {10}}, none), ValueError, "forbidden id 10");
  REQUIRE_THROWS_SAYING(models::check({.repetition_penalty = 0}, none), ValueError,
                        "repetition_penalty > 0");
  REQUIRE_THROWS_SAYING(models::check({.no_repeat_ngram = -1}, none), ValueError,
                        "no_repeat_ngram >= 0");
}

TEST_CASE("token rules: the token that ends a text can always end it", "[steppable]") {
  using Lists = std::vector<Tokens>;
  // As in GPT-2 one token begins and ends texts; or the padding was asked to end them.
  models::Vocabulary same{.size = 10, .pad = 0, .bos = 2, .eos = 2};
  REQUIRE(models::forbidden_tokens({}, same, {{2, 1}}, 2) == Lists{{0}});
  REQUIRE(models::forbidden_tokens({}, same, {{2, 1}}, 0) == Lists{{2}});
  REQUIRE(models::forbidden_tokens({.no_repeat_ngram = 1}, same, {{2, 1}}, 2) == Lists{{0, 1}});
  // Texts of full length: the eos is forbidden by name. Asking for an end and forbidding it is not
  // possible.
  REQUIRE(models::forbidden_tokens({.forbidden = {2}}, same, {{2, 1}}, 2) == Lists{{0, 2}});
  Any any = make("language model");
  models::TokenRules rules{.forbidden = {7}};
  REQUIRE_THROWS_SAYING(models::sample(*any.model, {.prompts = {{5}}}, {.stop = 7, .rules = rules}),
                        ValueError, "id 7 is forbidden, but it is to end the texts");
  REQUIRE_THROWS_SAYING(
      models::beam_search(*any.model, {.prompts = {{5}}}, {.stop = 7, .rules = rules}), ValueError,
      "id 7 is forbidden, but it is to end the texts");
}

TEST_CASE("best tokens: the k likeliest, ties by the lower id", "[steppable]") {
  Generator random(5);
  std::vector<float> values;
  for (int i = 0; i < 3 * 50; ++i)
    values.push_back(static_cast<float>(random.integer(12)));  // many ties
  Tensor logits = Tensor::from(values, {3, 50});
  std::vector<Tokens> forbidden = {{}, {0, 7, 30}, {49}};
  auto best = models::read_best_tokens(logits, 8, forbidden);
  std::vector<double> expected = log_softmax(logits, 1).to_vector();
  for (size_t r = 0; r < 3; ++r) {
    Tokens order;
    for (int64_t v = 0; v < 50; ++v)
      if (std::find(forbidden[r].begin(), forbidden[r].end(), v) == forbidden[r].end())
        order.push_back(v);
    std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
      return values[r * 50 + static_cast<size_t>(a)] > values[r * 50 + static_cast<size_t>(b)];
    });
    REQUIRE(best[r].size() == 8);
    for (size_t i = 0; i < 8; ++i) {
      REQUIRE(best[r][i].token == order[i]);
      REQUIRE(best[r][i].log_probability ==
              Approx(expected[r * 50 + static_cast<size_t>(order[i])]).margin(1e-5));
    }
  }
  REQUIRE(models::read_best_tokens(logits, 80, forbidden)[1].size() == 47);
  for (double bad : {std::nan(""), static_cast<double>(INFINITY)}) {
    Tensor broken = logits.clone();
    broken[1].slice(0, 3, 4).fill_(bad);
    REQUIRE_THROWS_SAYING(models::read_best_tokens(broken, 2, forbidden), NumericError,
                          "not numbers");
  }
}

namespace {
// Log-probabilities of all next tokens without any cache. A full context begins again with the last
// half of it: `begin` is where the model's text begins.
std::vector<double> next_tokens(const models::LanguageModel& model, const Tokens& text,
                                int64_t& begin) {
  NoGrad guard;
  auto length = static_cast<int64_t>(text.size()), context = model.config().context;
  if (length - begin > context) begin = length - context / 2;
  Tensor ids = integers({text.begin() + begin, text.end()}, {1, length - begin});
  Tensor states = model.forward(ids);  // [1, T, d]
  return log_softmax(model.logits(states[0][length - begin - 1]), 0).to_vector();
}
}  // namespace

TEST_CASE("steppable: a language model goes beyond its context, in each beam", "[steppable]") {
  Any any = make("language model");
  const auto& model = dynamic_cast<const models::LanguageModel&>(*any.model);
  auto lists = models::beam_search(model, {.prompts = {{5, 6}, {9, 4}}},
                                   {.beam = 3, .length_penalty = 0, .length_extra = 30});
  for (size_t r = 0; r < 2; ++r) {
    REQUIRE(lists[r].size() == 3);
    for (const models::Hypothesis& h : lists[r]) {
      REQUIRE((h.tokens.size() == 30 && !h.ended));
      Tokens text = r == 0 ? Tokens{5, 6} : Tokens{9, 4};
      double sum = 0;
      int64_t begin = 0;
      for (int64_t token : h.tokens) {
        sum += next_tokens(model, text, begin)[static_cast<size_t>(token)];
        text.push_back(token);
      }
      REQUIRE(h.log_probability == Approx(sum).epsilon(1e-4));
    }
  }
  Tokens text = {5, 6};
  int64_t begin = 0;
  for (int i = 0; i < 30; ++i) {
    std::vector<double> scores = next_tokens(model, text, begin);
    text.push_back(std::max_element(scores.begin(), scores.end()) - scores.begin());
  }
  Tokens drawn = models::generate(model, {5, 6}, {.max_tokens = 30, .temperature = 0});
  REQUIRE(drawn == Tokens(text.begin() + 2, text.end()));
}

TEST_CASE("steppable: beam search finds a language model's likeliest text", "[steppable]") {
  Any any = make("language model");
  const auto& model = dynamic_cast<const models::LanguageModel&>(*any.model);
  double best = -1e9;
  Tokens best_text;
  int64_t begin = 0;
  std::vector<double> first = next_tokens(model, {5}, begin);
  for (int64_t a = 0; a < 24; ++a) {
    std::vector<double> second = next_tokens(model, {5, a}, begin);
    for (int64_t b = 0; b < 24; ++b) {
      double sum = first[static_cast<size_t>(a)] + second[static_cast<size_t>(b)];
      if (sum > best) best = sum, best_text = {a, b};
    }
  }
  auto found = models::beam_search(model, {.prompts = {{5}}}, {.beam = 24, .length_extra = 2});
  REQUIRE(found[0][0].tokens == best_text);
  REQUIRE(found[0][0].log_probability == Approx(best).epsilon(1e-5));
  // A token that ends texts, where one is named.
  auto ended = models::beam_search(model, {.prompts = {{5}}},
                                   {.beam = 24, .length_extra = 2, .stop = best_text[0]});
  for (const models::Hypothesis& h : ended[0])
    if (h.ended) REQUIRE(std::count(h.tokens.begin(), h.tokens.end(), best_text[0]) == 0);
}
