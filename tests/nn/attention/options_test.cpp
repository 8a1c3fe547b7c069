#include <fstream>

#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;
using nn::Options;

TEST_CASE("options: a spec string") {
  auto [name, o] = nn::parse_spec("nystrom:landmarks=32,ridge=1e-3,pinv=false,mode=fast");
  REQUIRE(name == "nystrom");
  REQUIRE(o.integer("landmarks", 64, 1) == 32);
  REQUIRE(o.number("ridge", 0) == 1e-3);
  REQUIRE_FALSE(o.flag("pinv", true));
  REQUIRE(o.choice("mode", "slow", {"slow", "fast"}) == "fast");
  REQUIRE(o.integer("other", 5) == 5);
  REQUIRE_NOTHROW(o.check_known());
  REQUIRE(o.to_string() == "landmarks=32,mode=fast,pinv=false,ridge=1e-3");
  REQUIRE(nn::parse_spec("dense").options.to_string().empty());
}

TEST_CASE("options: malformed specs name the faulty part") {
  for (auto [spec, part] : std::vector<std::pair<const char*, const char*>>{
           {"", "the name is missing"},
           {":k=1", "the name is missing"},
           {"a b", "'a b' is no name"},
           {"topk:", "'' is no key=value"},
           {"topk:k", "'k' is no key=value"},
           {"topk:=4", "has no key"},
           {"topk:k=", "has no value"},
           {"topk:k=1,", "'' is no key=value"},
           {"topk:k=1,k=2", "option 'k' is given twice (1 and 2)"}}) {
    INFO(spec);
    REQUIRE_THROWS_SAYING(nn::parse_spec(spec), ValueError, part);
  }
}

TEST_CASE("options: values of the wrong type or range name variant, value and what is allowed") {
  Options o =
      nn::parse_spec("topk:k=four,n=0,r=nan,f=maybe,c=x,big=99999999999999999999,h=3.5").options;
  REQUIRE_THROWS_SAYING(o.integer("k", 1), ValueError,
                        "topk: option 'k' is 'four'; allowed: an integer");
  REQUIRE_THROWS_SAYING(o.integer("n", 1, 1), ValueError, "allowed: an integer >= 1");
  REQUIRE_THROWS_SAYING(o.integer("n", 1, 1, 8), ValueError, "an integer from 1 to 8");
  REQUIRE_THROWS_SAYING(o.integer("big", 1), ValueError, "99999999999999999999");
  REQUIRE_THROWS_SAYING(o.integer("h", 1), ValueError, "3.5");
  REQUIRE_THROWS_SAYING(o.number("r", 1), ValueError, "allowed: a number");
  REQUIRE_THROWS_SAYING(o.number("h", 1, 0, 1), ValueError, "a number from 0 to 1");
  REQUIRE_THROWS_SAYING(o.flag("f", true), ValueError, "true or false");
  REQUIRE_THROWS_SAYING(o.choice("c", "a", {"a", "b"}), ValueError, "allowed: a, b");
}

TEST_CASE("catalogue: unknown names and options list what exists") {
  nn::AttentionConfig config{.heads = 2, .kv_heads = 2, .head_dim = 4, .value_dim = 4};
  REQUIRE_THROWS_SAYING(nn::make_attention("danse", config), ValueError,
                        "unknown variant 'danse'; there are dense");
  REQUIRE_THROWS_SAYING(nn::make_attention("dense:blocks=3", config), ValueError,
                        "dense: unknown option 'blocks=3'; there are:\n  sinks: true or false");
  REQUIRE(nn::find_attention("dense").family == "dense");
  REQUIRE(std::string(nn::make_attention("dense", config)->name()) == "dense");
}

namespace {

// Averages the values; knows one option and no masks.
class Mean : public nn::Attention {
 public:
  explicit Mean(nn::AttentionConfig c) : Attention(std::move(c)) {
    config().options.integer("width", 3, 1);
  }
  const char* name() const override { return "mean"; }
  Tensor forward(const Tensor& q, const Tensor& k, const Tensor& v,
                 const nn::AttentionCall& call) const override {
    check_call(q, k, v, call);
    return v;
  }
  nn::Traits traits() const override {
    nn::Traits t;
    t.scale = false;
    t.why = {{"causal", "it averages over all"}};
    return t;
  }
  void on_step(int64_t step, RandomKey key) override { seen.push_back({step, key.seed}); }
  std::vector<std::pair<int64_t, uint64_t>> seen;
};

nn::AttentionEntry mean_entry(const std::string& name) {
  return {name, "test", "", "", [](const nn::AttentionConfig& c, nn::SharedParameters&) {
            return std::make_unique<Mean>(c);
          }};
}

}  // namespace

TEST_CASE("catalogue: variants from outside, refused by their traits") {
  static bool added = (nn::register_attention(mean_entry("mean")), true);
  REQUIRE(added);
  REQUIRE_THROWS_SAYING(nn::register_attention(mean_entry("mean")), ValueError, "is taken");
  REQUIRE_THROWS_SAYING(nn::register_attention(mean_entry("a=b")), ValueError, "no name");
  nn::AttentionConfig config{.heads = 2, .kv_heads = 2, .head_dim = 4, .value_dim = 4};
  REQUIRE_THROWS_SAYING(nn::make_attention("mean:width=0", config), ValueError, "an integer >= 1");
  REQUIRE_THROWS_SAYING(nn::make_attention("mean:w=2", config), ValueError,
                        "width: an integer >= 1");
  auto mean = nn::make_attention("mean:width=2", config);
  REQUIRE(mean->type_name() == "mean:width=2");

  Tensor q = zeros({2, 2, 3, 4});
  auto call = [&](nn::Mask mask) {
    nn::AttentionCall c;
    c.mask = mask;
    return mean->forward(q, q, q, c);
  };
  REQUIRE_NOTHROW(call({}));
  REQUIRE_THROWS_SAYING(call(nn::Mask::key_padding({1, 2})), ValueError,
                        "mean: key padding is not supported");
  REQUIRE_THROWS_SAYING(call(nn::Mask::window(1, 1)), ValueError, "mean: a pair mask or window");
  REQUIRE_THROWS_SAYING(call(nn::Mask::alibi(ones({2}))), ValueError, "mean: a bias on the scores");
  REQUIRE_THROWS_SAYING(call(nn::Mask::padding({1, 2, 3})), ShapeError, "the batch has 2");
  nn::AttentionCall c;
  REQUIRE_THROWS_SAYING(mean->forward(q, zeros({2, 2, 5, 4}), zeros({2, 2, 5, 4}), c), ValueError,
                        "cross-attention (3 queries, 5 keys)");
  REQUIRE_THROWS_SAYING(mean->forward(q, zeros({2, 2, 3, 5}), q, c), ShapeError,
                        "mean: k [2, 2, S, 4]");
  REQUIRE_THROWS_SAYING(mean->forward(q, q, zeros({2, 2, 4, 4}), c), ShapeError,
                        "mean: v [2, 2, 3, 4]");
  REQUIRE_THROWS_SAYING(mean->forward(q, q.to(DType::f64), q, c), DTypeError, "one dtype");
  c.dropout = 0.1f;
  REQUIRE_THROWS_SAYING(mean->forward(q, q, q, c), ValueError, "dropout on the weights");
  c = {};
  c.scale = 2.0f;
  REQUIRE_THROWS_SAYING(mean->forward(q, q, q, c), ValueError, "a scale (2)");
  REQUIRE_THROWS_SAYING(mean->new_state(1, 1, DType::f32, kCpu), ValueError,
                        "mean: decoding is not supported");
  REQUIRE_THROWS_SAYING(mean->weights(q, q, {}, {0}), ValueError, "mean: a map of weights");
  REQUIRE_THROWS_SAYING(mean->cost({}, nn::Pass::forward), ValueError, "cost model");

  config.causal = true;
  REQUIRE_THROWS_SAYING(nn::make_attention("mean", config), ValueError,
                        "mean: causal attention is not supported: it averages over all");
  config.causal = false;
  config.kv_heads = 1;
  REQUIRE_THROWS_SAYING(nn::make_attention("mean", config), ValueError,
                        "grouped-query attention (1 key heads for 2)");
  config.kv_heads = 3;
  REQUIRE_THROWS_SAYING(nn::make_attention("dense", config), ValueError,
                        "dense: kv_heads must divide heads, got 3 and 2");

  REQUIRE_THROWS_SAYING(nn::MultiHeadAttention(8, {.heads = 2, .variant = "mean", .dropout = 0.1}),
                        ValueError, "mean has no dropout on its weights");
  REQUIRE(nn::MultiHeadAttention(8, {.heads = 2, .variant = "mean", .default_dropout = 0.1})
              .attention_dropout() == 0);
  REQUIRE_THROWS_SAYING(
      nn::TransformerDecoderLayer(
          {.width = 8, .hidden = 8, .attention = {.heads = 2}, .cross_variant = "mean"}),
      ValueError, "mean: cross-attention");
}

TEST_CASE("shared parameters are made once") {
  nn::SharedParameters shared;
  int made = 0;
  auto make = [&] { return ++made, ones({2}); };
  REQUIRE(shared.get("E", make).impl() == shared.get("E", make).impl());
  shared.get("F", make);
  REQUIRE(made == 2);
}

TEST_CASE("attention_on_step reaches every attention of a model, each with its own numbers") {
  struct Model : nn::Module {
    Mean a{{.heads = 1, .kv_heads = 1}}, b{{.heads = 1, .kv_heads = 1}};
    nn::Linear between{2, 2};
    Model() {
      register_module("a", a);
      register_module("between", between);
      register_module("b", b);
    }
  } model;
  nn::attention_on_step(model, 7, {1, 2});
  nn::attention_on_step(model, 7, {1, 2});
  REQUIRE(model.a.seen.size() == 2);
  REQUIRE(model.a.seen[0].first == 7);
  REQUIRE(model.a.seen[0] == model.a.seen[1]);
  REQUIRE(model.a.seen[0].second != model.b.seen[0].second);
}

// "| [`dense`](dense.md) | yes | | kv |" -> {"dense", "yes", "", "kv"}
static std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> list;
  for (size_t at = 1; at < line.size();) {
    size_t end = line.find('|', at);
    std::string cell = line.substr(at, end - at);
    size_t first = cell.find_first_not_of(' '), last = cell.find_last_not_of(' ');
    list.push_back(first == std::string::npos ? "" : cell.substr(first, last - first + 1));
    at = end + 1;
  }
  size_t tick = list[0].find('`');
  if (tick != std::string::npos) list[0] = list[0].substr(tick + 1, list[0].rfind('`') - tick - 1);
  return list;
}

TEST_CASE("catalogue: the table of what each variant can do is what the traits say") {
  std::ifstream page(HEED_SOURCE_DIR "/docs/attention/README.md");
  size_t rows = 0;
  for (std::string line; std::getline(page, line);) {
    if (!line.starts_with("| [`")) continue;
    ++rows;
    std::vector<std::string> row = cells(line);
    INFO(row[0]);
    nn::AttentionConfig config{
        .heads = 2, .kv_heads = 2, .head_dim = 4, .value_dim = 4, .max_length = 16};
    nn::Traits t = nn::make_attention(row[0], config)->traits();
    nn::DecodeKind decode = t.decode;
    if (t.causal) {
      config.causal = true;
      decode = nn::make_attention(row[0], config)->traits().decode;
    }
    auto yes = [](bool has) { return std::string(has ? "yes" : ""); };
    REQUIRE(row == std::vector<std::string>{row[0], yes(t.causal), yes(t.cross), yes(t.key_padding),
                                            yes(t.left_padding), yes(t.pair_mask), yes(t.bias),
                                            yes(t.weight_dropout), yes(t.grouped_heads),
                                            yes(t.weights), nn::to_string(decode)});
  }
  size_t built_in = 0;  // other cases of this program register variants of their own
  for (const nn::AttentionEntry& entry : nn::attention_catalog())
    built_in += entry.family != "test";
  REQUIRE(rows >= 15);
  REQUIRE(rows == built_in);
}
