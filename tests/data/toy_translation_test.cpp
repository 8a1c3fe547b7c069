#include <heed/data/toy_translation.h>

#include <algorithm>
#include <map>
#include <set>

#include <heed/core/error.h>
#include <heed/data/bleu.h>
#include <heed/data/utf8.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;

namespace {
const ParallelCorpus& training() {
  static const ParallelCorpus pairs = make_toy_pairs(30000, 1);
  return pairs;
}
// How many translations have `german` where the source has `english`.
int64_t count(std::string_view english, std::string_view german) {
  auto has = [](const std::string& text, std::string_view word) {
    return (" " + text + " ").find(" " + std::string(word) + " ") != std::string::npos;
  };
  int64_t n = 0;
  const ParallelCorpus& pairs = training();
  for (size_t i = 0; i < pairs.source.size(); ++i)
    n += has(pairs.source[i], english) && has(pairs.target[i], german);
  return n;
}
int64_t occurs(std::string_view english) { return count(english, "."); }
}  // namespace

TEST_CASE("toy pairs: a pure function of count, seed and split") {
  auto a = make_toy_pairs(300, 7), b = make_toy_pairs(500, 7), c = make_toy_pairs(300, 8);
  CHECK(std::equal(a.source.begin(), a.source.end(), b.source.begin()));
  CHECK(std::equal(a.target.begin(), a.target.end(), b.target.begin()));
  CHECK(a.source != c.source);
  CHECK_THROWS_AS(make_toy_pairs(0, 1), ValueError);
  // The text itself must not change by accident: published numbers hang on it.
  uint64_t hash = 0xcbf29ce484222325;
  for (auto* side : {&b.source, &b.target})
    for (const std::string& line : *side)
      for (unsigned char byte : line + "\n") hash = (hash ^ byte) * 0x100000001b3;
  CHECK(hash == 16692423845388995924u);
}

TEST_CASE("toy pairs: form") {
  const ParallelCorpus& pairs = training();
  std::set<std::string> words[2], sources;
  for (size_t i = 0; i < pairs.source.size(); ++i) {
    sources.insert(pairs.source[i]);
    const std::string* sides[] = {&pairs.source[i], &pairs.target[i]};
    for (int s = 0; s < 2; ++s) {
      auto tokens = split_words(*sides[s]);
      REQUIRE(tokens.size() >= 4);
      REQUIRE(tokens.size() <= 20);
      REQUIRE(tokens.back() == ".");
      std::string joined;
      for (auto token : tokens) {
        joined += (joined.empty() ? "" : " ") + std::string(token);
        words[s].insert(std::string(token));
      }
      REQUIRE(joined == *sides[s]);
    }
    REQUIRE(pairs.target[i].find(", .") == std::string::npos);
    REQUIRE(pairs.target[i].find(", ,") == std::string::npos);
    REQUIRE(utf8_error(pairs.target[i]) == std::string::npos);
  }
  CHECK(sources.size() == pairs.source.size());  // all different
  CHECK(words[0].size() >= 120);
  CHECK(words[0].size() <= 200);
  CHECK(words[1].size() >= 200);
  CHECK(words[1].size() <= 300);
}

TEST_CASE("toy pairs: splits share no sentence, whatever the seeds") {
  auto train = make_toy_pairs(20000, 3), valid = make_toy_pairs(1000, 3, ToySplit::valid),
       test = make_toy_pairs(1000, 3, ToySplit::test);
  std::set<std::string> seen(train.source.begin(), train.source.end());
  for (auto* other : {&valid, &test})
    for (const std::string& s : other->source) REQUIRE(seen.insert(s).second);
  for (auto& s : train.source) REQUIRE(toy_split(s) == ToySplit::train);
  for (auto& s : valid.source) REQUIRE(toy_split(s) == ToySplit::valid);
  for (auto& s : test.source) REQUIRE(toy_split(s) == ToySplit::test);
}

TEST_CASE("toy pairs: one translation for a sentence") {
  std::map<std::string, std::string> known;
  for (uint64_t seed : {1, 2, 3}) {
    auto pairs = make_toy_pairs(20000, seed);
    for (size_t i = 0; i < pairs.source.size(); ++i) {
      auto [it, fresh] = known.emplace(pairs.source[i], pairs.target[i]);
      REQUIRE(it->second == pairs.target[i]);
    }
  }
  CHECK(known.size() < 60000);  // some did occur under two seeds
}

TEST_CASE("toy pairs: ambiguous words, each sense often") {
  struct Case {
    const char* english;
    std::vector<const char*> german;
  };
  // Nominative singular or a form that both numbers share.
  for (const Case& c : std::vector<Case>{{"crane", {"Kranich", "Kran"}},
                                         {"bat", {"Fledermaus", "Schläger"}},
                                         {"bank", {"Ufer", "Bank"}},
                                         {"seal", {"Robbe", "Siegel"}},
                                         {"knows", {"kennt", "weiß"}},
                                         {"when", {"als", "wenn"}},
                                         {"light", {"hell", "leicht"}},
                                         {"it", {"ihn", "sie", "es"}},
                                         {"the", {"der", "die", "das", "den"}},
                                         {"has", {"hat", "ist"}},
                                         {"left", {"verließ", "ging", "gegangen", "verlassen"}},
                                         {"moves", {"bewegt", "zieht"}},
                                         {"must", {"muss", "darf"}}})
    for (const char* german : c.german) {
      CAPTURE(c.english, german);
      CHECK(count(c.english, german) >= 40);
      CHECK(count(c.english, german) < occurs(c.english));
    }
  // The place decides, in nature and in town.
  CHECK(count("in the forest", "Kranich") > 0);
  CHECK(count("in the forest", "Kran") == 0);
  CHECK(count("in the office", "Kran") > 0);
  CHECK(count("in the office", "Kranich") == 0);
}

TEST_CASE("toy pairs: grammar, by example") {
  std::map<std::string, std::string> found;
  std::set<std::string> kinds;
  const ParallelCorpus& pairs = training();
  for (size_t i = 0; i < pairs.source.size(); ++i) {
    const std::string &e = pairs.source[i], &g = pairs.target[i];
    auto ends = [&](const char* text) { return g.ends_with(text); };
    if (e.find(" because ") != std::string::npos && ends(" kann ."))
      kinds.insert("verb last in a clause");
    if (e.starts_with("tomorrow ") && g.starts_with("morgen wird "))
      kinds.insert("verb before subject");
    if (e.find(" opens ") != std::string::npos && ends(" auf .")) kinds.insert("split verb");
    if (ends(" aufmacht .")) kinds.insert("split verb joined again");
    if (e.find("not") != std::string::npos && g.find(" keinen ") != std::string::npos)
      kinds.insert("not a -> kein");
    if (e.find("in the city yesterday .") != std::string::npos &&
        g.find("gestern in der Stadt") != std::string::npos)
      kinds.insert("time before place");
    if (g.find(" , der ") != std::string::npos && e.find(" that ") != std::string::npos)
      kinds.insert("relative pronoun");
    REQUIRE((e.find(" does ") == std::string::npos || e.find(" not ") != std::string::npos));
    REQUIRE(e.find(" a old ") == std::string::npos);
  }
  CHECK(kinds.size() == 7);
}

TEST_CASE("toy pairs: no dictionary solves them word by word") {
  const ParallelCorpus& pairs = training();
  // The best translation of each word by itself: the target word with the largest Dice coefficient.
  std::map<std::string, double> source_count, target_count;
  std::map<std::string, std::map<std::string, double>> together;
  for (size_t i = 0; i < pairs.source.size(); ++i) {
    std::set<std::string> xs, ys;
    for (auto w : split_words(pairs.source[i])) xs.emplace(w);
    for (auto w : split_words(pairs.target[i])) ys.emplace(w);
    for (auto& x : xs) ++source_count[x];
    for (auto& y : ys) ++target_count[y];
    for (auto& x : xs)
      for (auto& y : ys) ++together[x][y];
  }
  std::map<std::string, std::string> dictionary;
  for (auto& [x, ys] : together) {
    double best = -1;
    for (auto& [y, n] : ys)
      if (double dice = 2 * n / (source_count[x] + target_count[y]); dice > best)
        best = dice, dictionary[x] = y;
  }
  CHECK(dictionary["often"] == "oft");  // the dictionary is a good one
  CHECK(dictionary["woman"] == "Frau");
  CHECK(dictionary["because"] == "weil");

  auto test = make_toy_pairs(1000, 2, ToySplit::test);
  std::vector<std::string> guesses;
  for (const std::string& line : test.source) {
    std::string guess;
    for (auto w : split_words(line))
      guess += (guess.empty() ? "" : " ") + dictionary[std::string(w)];
    guesses.push_back(guess);
  }
  BleuResult bleu = corpus_bleu(guesses, test.target);
  CAPTURE(to_string(bleu));
  CHECK(bleu.score < 40);
  CHECK(bleu.score > 3);           // but it is not noise either:
  CHECK(bleu.precisions[0] > 45);  // words are known, forms and order are not
  CHECK(corpus_bleu(test.target, test.target).score == Approx(100));
}
