#include <heed/viz/attention_page.h>

#include <cmath>
#include <filesystem>

#include <nlohmann/json.hpp>

#include <heed/core/error.h>
#include <heed/tests/data/temp_dir.h>
#include <heed/tests/support/catch.h>
#include <heed/tests/viz/find.h>

using namespace heed;
using namespace heed::viz;
using namespace heed::test;

namespace {
nlohmann::json data_of(const std::string& page) {
  const std::string begin = "<script id=\"data\" type=\"application/json\">";
  size_t at = page.find(begin) + begin.size();
  return nlohmann::json::parse(page.substr(at, page.find("</script>", at) - at));
}

std::string page_of(const AttentionGroup& group, const PageText& text = {}) {
  return attention_page({group}, text);
}
}  // namespace

TEST_CASE("attention page: the weights that were given") {
  Array w = Array::from<float>({0, 1, 0.12344f, 0.00006f, NAN, 1e-9f, 0.25f, 0.5f, 0.75f, 1, 0, 0},
                               {2, 2, 3});
  AttentionGroup group{"cross", {"a", "b"}, {"x", "y", "z"}, {w, w}};
  std::vector<AttentionGroup> groups = {
      group, {"self", {"a"}, {"b"}, {Array::from<float>({1}, {1, 1, 1})}}};
  nlohmann::json data = data_of(attention_page(groups));
  REQUIRE(data.size() == 2);
  CHECK(data[0]["name"] == "cross");
  CHECK(data[0]["rows"] == nlohmann::json({"a", "b"}));
  CHECK(data[0]["columns"] == nlohmann::json({"x", "y", "z"}));
  REQUIRE(data[0]["layers"].size() == 2);
  CHECK(data[0]["layers"][1] ==
        nlohmann::json::parse("[[[0,1,0.1234],[0.0001,null,0]],[[0.25,0.5,0.75],[1,0,0]]]"));
  CHECK(data[1]["layers"][0] == nlohmann::json::parse("[[[1]]]"));
  // f64 and any strides.
  Array d = Array::from<double>({1, 2, 3, 4, 5, 6}, {1, 3, 2}).transpose(1, 2);
  CHECK(data_of(page_of({"", {"a", "b"}, {"x", "y", "z"}, {d}}))[0]["layers"][0] ==
        nlohmann::json::parse("[[[1,3,5],[2,4,6]]]"));
}

TEST_CASE("attention page: tokens do no harm") {
  using namespace std::string_literals;
  std::vector<std::string> tokens = {"</script><script>alert(1)</script>",
                                     "<!--",
                                     "]]>",
                                     "&amp;",
                                     "\"'\\",
                                     "\u2028",
                                     "\xff",
                                     "a\0b"s,
                                     "猫"};
  auto n = static_cast<int64_t>(tokens.size());
  PageText text{.title = "<i>t</i>", .lines = {"</p><script>"}};
  std::string page =
      page_of({"<b>", tokens, tokens, {Array::zeros({1, n, n}, DType::f32, kCpu)}}, text);
  CHECK(count(page, "<script") == 2);
  CHECK(count(page, "</script") == 2);
  CHECK(count(page, "<!--") == 0);
  CHECK(count(page, "<b>") + count(page, "<i>") == 0);
  CHECK(count(page, "<p dir=\"auto\">&lt;/p&gt;&lt;script&gt;</p>") == 1);
  CHECK(count(page, "]]>") == 1);  // the end of the page's own section
  nlohmann::json rows = data_of(page)[0]["rows"];
  for (size_t i = 0; i < 6; ++i) CHECK(rows[i] == tokens[i]);
  CHECK(rows[6] == "\uFFFD");
  CHECK(rows[7] == "a␀b");
  CHECK(rows[8] == "猫");
}

TEST_CASE("attention page: nothing outside is referred to") {
  std::string page = page_of({"a", {"x"}, {"y"}, {Array::from<float>({1}, {1, 1, 1})}});
  CHECK(has(page,
            "content=\"default-src 'none'; style-src 'unsafe-inline'; "
            "script-src 'unsafe-inline'\""));
  CHECK(count(page, "://") == 1);  // the name of the XHTML namespace
  for (const char* part : {" src=", " href=", "url(", "@import", "fetch(", "<link"}) {
    CAPTURE(part);
    CHECK_FALSE(has(page, part));
  }
}

TEST_CASE("attention page: what is refused") {
  Array w = Array::zeros({1, 1, 2}, DType::f32, kCpu);
  AttentionGroup good{"g", {"a"}, {"x", "y"}, {w}};
  CHECK_NOTHROW(page_of(good));
  CHECK_THROWS_AS(attention_page({}), ValueError);
  REQUIRE_THROWS_SAYING(page_of({"g", {"a"}, {"x", "y"}, {}}), ValueError, "'g': at least 1 layer");
  REQUIRE_THROWS_SAYING(page_of({"g", {"a"}, {"x"}, {w}}), ShapeError,
                        "'g', layer 0: [H, 1, 1] with all sizes >= 1 expected, got [1, 1, 2]");
  CHECK_THROWS_AS(page_of({"g", {"a"}, {"x", "y"}, {Array::zeros({1, 2}, DType::f32, kCpu)}}),
                  ShapeError);
  CHECK_THROWS_AS(page_of({"g", {"a"}, {"x", "y"}, {Array::zeros({0, 1, 2}, DType::f32, kCpu)}}),
                  ShapeError);
  CHECK_THROWS_AS(page_of({"g", {}, {}, {Array::zeros({1, 0, 0}, DType::f32, kCpu)}}), ShapeError);
  CHECK_THROWS_AS(page_of({"g", {"a"}, {"x", "y"}, {Array()}}), DTypeError);
  CHECK_THROWS_AS(page_of({"g", {"a"}, {"x", "y"}, {Array::zeros({1, 1, 2}, DType::i64, kCpu)}}),
                  DTypeError);
  Array large = Array::zeros({1, 1, 1}, DType::f32, kCpu).broadcast_to({(1 << 24) + 1, 1, 1});
  REQUIRE_THROWS_SAYING(page_of({"g", {"a"}, {"x"}, {large}}), ValueError, "2^24 weights");
  TempDir dir;
  save_attention_page(dir / "a.html", {good});
  CHECK(read_bytes(dir / "a.html") == page_of(good));
  REQUIRE_THROWS_SAYING(save_attention_page(dir / "no" / "a.html", {good}), IoError,
                        "cannot write: No such file");
}
