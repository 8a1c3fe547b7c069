#include <heed/data/bleu.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include <heed/core/error.h>
#include <heed/tests/support/catch.h>

using namespace heed;
using namespace heed::data;
using namespace heed::test;
using Texts = std::vector<std::string>;

namespace {
nlohmann::json golden() {
  std::ifstream in(HEED_SOURCE_DIR "/tests/golden/bleu_cases.json");
  return nlohmann::json::parse(in);
}
}  // namespace

TEST_CASE("BLEU equals sacreBLEU on the golden cases") {
  auto cases = golden()["cases"];
  REQUIRE(cases.size() >= 5);
  for (auto& c : cases) {
    CAPTURE(c["name"].get<std::string>());
    BleuResult r = corpus_bleu(c["hyps"].get<Texts>(), c["refs"].get<Texts>());
    for (size_t n = 0; n < 4; ++n) {
      CHECK(r.matches[n] == c["matches"][n].get<int64_t>());
      CHECK(r.totals[n] == c["totals"][n].get<int64_t>());
      CHECK(r.precisions[n] == Approx(c["precisions"][n].get<double>()).epsilon(1e-12));
    }
    CHECK(r.brevity_penalty == Approx(c["brevity_penalty"].get<double>()).epsilon(1e-12));
    CHECK(r.hyp_len == c["hyp_length"].get<int64_t>());
    CHECK(r.ref_len == c["ref_length"].get<int64_t>());
    CHECK(r.score == Approx(c["score"].get<double>()).epsilon(1e-12).margin(1e-9));
  }
}

TEST_CASE("13a tokens equal sacreBLEU's") {
  auto lines = golden()["tokenizer_13a"];
  REQUIRE(lines.size() >= 10);
  for (auto& line : lines)
    CHECK(tokenize_13a(line["in"].get<std::string>()) == line["out"].get<std::string>());
}

TEST_CASE("BLEU: what cannot be scored") {
  CHECK_THROWS_AS(corpus_bleu({}, {}), ValueError);
  Texts one = {"a"}, two = {"a", "b"};
  REQUIRE_THROWS_SAYING(corpus_bleu(one, two), ValueError, "got 1 and 2");
  CHECK(corpus_bleu(Texts{""}, Texts{""}).score == 0);
  CHECK(corpus_bleu(Texts{"a b c"}, Texts{"a b c"}).score == 0);  // no 4-gram at all
}

TEST_CASE("BLEU as a line") {
  Texts text = {"a b c d"};
  CHECK(to_string(corpus_bleu(text, text)) ==
        "BLEU = 100.00 100.0/100.0/100.0/100.0 (BP = 1.000 ratio = 1.000 hyp_len = 4 ref_len = 4)");
}
