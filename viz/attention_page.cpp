#include <heed/viz/attention_page.h>

#include <cmath>

#include <nlohmann/json.hpp>

#include <heed/core/error.h>
#include <heed/data/write_file.h>
#include <heed/viz/attention_page_parts.h>
#include <heed/viz/svg.h>
#include <heed/viz/weight.h>

namespace heed::viz {

namespace {
using Json = nlohmann::ordered_json;
constexpr int64_t kMostWeights = int64_t{1} << 24;

void check(const AttentionGroup& group) {
  auto t = static_cast<int64_t>(group.rows.size()), s = static_cast<int64_t>(group.columns.size());
  if (group.layers.empty())
    throw ValueError(str("attention_page: '", group.name, "': at least 1 layer expected"));
  for (size_t i = 0; i < group.layers.size(); ++i) {
    const Array& a = group.layers[i];
    std::string name = str("attention_page: '", group.name, "', layer ", i, ": ");
    if (!a.defined() || !is_differentiable(a.dtype()))
      throw DTypeError(str(name, "an array of f32, f64 or bf16 expected"));
    if (a.rank() != 3 || a.numel() == 0 || a.dim(1) != t || a.dim(2) != s)
      throw ShapeError(
          str(name, "[H, ", t, ", ", s, "] with all sizes >= 1 expected, got ", a.shape()));
  }
}

// Nested lists [H][T][S]. Four digits are as many as a reader can use; JSON has null for NaN.
Json to_json(const Array& a) {
  auto weight = [&](int64_t h, int64_t i, int64_t j) {
    int64_t at = h * a.strides()[0] + i * a.strides()[1] + j * a.strides()[2];
    double w = weight_at(a, at);
    return std::isfinite(w) ? Json(std::round(w * 1e4) / 1e4) : Json();
  };
  Json heads = Json::array();
  for (int64_t h = 0; h < a.dim(0); ++h) {
    Json& head = heads.emplace_back(Json::array());
    for (int64_t i = 0; i < a.dim(1); ++i) {
      Json& row = head.emplace_back(Json::array());
      for (int64_t j = 0; j < a.dim(2); ++j) row.push_back(weight(h, i, j));
    }
  }
  return heads;
}

Json to_json(const std::vector<std::string>& tokens) {
  Json list = Json::array();
  for (const std::string& token : tokens) list.push_back(printable(token));
  return list;
}

// As text of a <script> in HTML and XML alike: ASCII without < > &, so that no token can end the
// element or begin another.
std::string embedded(const Json& json) {
  std::string out;
  for (char c : json.dump(-1, ' ', /*ensure_ascii=*/true)) switch (c) {
      case '<': out += "\\u003c"; break;
      case '>': out += "\\u003e"; break;
      case '&': out += "\\u0026"; break;
      default: out += c;
    }
  return out;
}
}  // namespace

std::string attention_page(const std::vector<AttentionGroup>& groups, const PageText& text) {
  if (groups.empty()) throw ValueError("attention_page: at least 1 group of maps expected");
  int64_t weights = 0;
  for (const AttentionGroup& group : groups) {
    check(group);
    for (const Array& layer : group.layers) weights += layer.numel();
  }
  if (weights > kMostWeights)
    throw ValueError(str("attention_page: at most 2^24 weights expected, got ", weights));
  Json json = Json::array();
  for (const AttentionGroup& group : groups) {
    Json layers = Json::array();
    for (const Array& layer : group.layers) layers.push_back(to_json(layer));
    json.push_back({{"name", printable(group.name)},
                    {"rows", to_json(group.rows)},
                    {"columns", to_json(group.columns)},
                    {"layers", std::move(layers)}});
  }
  std::string title = escape_xml(text.title), paragraphs;
  for (const std::string& line : text.lines)
    paragraphs += "<p dir=\"auto\">" + escape_xml(line) + "</p>\n";
  return str(kPageBegin, "<title>", title, "</title>\n", kPageStyle, "</head>\n<body>\n<h1>", title,
             "</h1>\n", paragraphs, kPageBody, "<script id=\"data\" type=\"application/json\">",
             embedded(json), "</script>\n", kPageScript, "</body>\n</html>\n");
}

void save_attention_page(const std::string& path, const std::vector<AttentionGroup>& groups,
                         const PageText& text) {
  data::write_file(path, attention_page(groups, text));
}

}  // namespace heed::viz
