// Outputs and gradients of public implementations of the same mathematics (tests/golden/README.md,
// peer_*). In the cases other_* they do something else; there the difference is what is tested, and
// docs/attention/<name>.md says why.
#include <cmath>
#include <functional>

#include <heed/autograd/backward.h>
#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/views.h>
#include <heed/nn/attention/conformance_case.h>
#include <heed/nn/attention/linformer.h>
#include <heed/nn/attention/nystrom.h>
#include <heed/nn/attention/performer.h>
#include <heed/tests/nn/golden.h>

using namespace heed;
using namespace heed::test;
using nn::Attention;
using nn::AttentionCall;
using nn::Mask;
using nn::StateDict;

namespace {

constexpr double kTolerance = 4e-12;  // 1e-12 sqrt(K): sums of up to 16 numbers

class Peer {
 public:
  explicit Peer(const std::string& name) : file_(golden("peer_" + name)) {}
  std::function<void(Attention&)> prepare;

  Tensor at(const std::string& name) const { return file_.at(name); }

  std::unique_ptr<Attention> make(const std::string& name, const std::string& spec,
                                  bool causal) const {
    Tensor q = at(name + ".q"), k = at(name + ".k"), v = value(name);
    auto a = nn::make_attention(spec, {.heads = q.dim(1),
                                       .kv_heads = k.dim(1),
                                       .head_dim = q.dim(3),
                                       .value_dim = v.dim(3),
                                       .max_length = 9,
                                       .causal = causal});
    a->to(DType::f64);
    if (prepare) prepare(*a);
    return a;
  }

  Tensor value(const std::string& name) const {
    auto v = file_.find(name + ".v");
    return v == file_.end() ? at(name + ".k") : v->second;
  }

  AttentionCall call(const std::string& name) const {
    AttentionCall c;
    auto keys = file_.find(name + ".key_end"), queries = file_.find(name + ".query_end");
    if (keys != file_.end()) c.mask = c.mask & Mask::key_padding(lengths_of(keys->second));
    if (queries != file_.end()) c.mask = c.mask & Mask::query_padding(lengths_of(queries->second));
    return c;
  }

  // The package computes padded query rows, too.
  double error(const Tensor& actual, const std::string& name) const {
    return nn::conformance::rms_error(actual, call(name).mask.select_queries(at(name + ".out"), 2));
  }

  // Output and all gradients that the file has; `parameters`: its names for heed's.
  void equal(const std::string& name, const std::string& spec, bool causal = false,
             const std::map<std::string, std::string>& parameters = {},
             double tolerance = kTolerance) const {
    INFO(name << " as " << spec);
    auto a = make(name, spec, causal);
    auto leaf = [&](const char* input) {
      return at(name + "." + input).clone().set_requires_grad(true);
    };
    Tensor q = leaf("q"), k = leaf("k"), v = file_.count(name + ".v") ? leaf("v") : k;
    Tensor out = a->forward(q, k, v, call(name));
    REQUIRE(error(out, name) < tolerance);
    out.backward(at(name + ".cotangent"));
    near(q.grad(), name + ".grad.q", tolerance);
    near(k.grad(), name + ".grad.k", tolerance);
    if (file_.count(name + ".v")) near(v.grad(), name + ".grad.v", tolerance);
    REQUIRE(parameters.size() == a->parameters().size());
    for (const auto& [parameter, tensor] : a->named_parameters())
      near(tensor.grad(), name + ".grad." + parameters.at(parameter), tolerance);
  }

  // How far heed's output is from the package's.
  double distance(const std::string& name, const std::string& spec, bool causal = false) const {
    return error(make(name, spec, causal)
                     ->forward(at(name + ".q"), at(name + ".k"), value(name), call(name)),
                 name);
  }

 private:
  void near(const Tensor& actual, const std::string& name, double tolerance) const {
    INFO(name);
    Tensor expected = at(name);
    if (!(actual.shape() == expected.shape())) expected = expected.transpose(0, 1);
    REQUIRE(nn::conformance::rms_error(actual, expected) < tolerance);
  }
  StateDict file_;
};

}  // namespace

TEST_CASE("peers: performer-pytorch with eps = 0", "[peers][performer]") {
  Peer peer("performer");
  peer.prepare = [&](Attention& a) {
    dynamic_cast<nn::PerformerAttention&>(a).set_projection(peer.at("projection"));
  };
  peer.equal("plain", "performer:features=6,eps=0");
  peer.equal("causal", "performer:features=6,eps=0", true);
}

// eps = 1e-4 is added to each feature there, after a shift by the largest of all keys.
TEST_CASE("peers: performer-pytorch's eps is another map, and tells of the future",
          "[peers][performer]") {
  Peer peer("performer");
  peer.prepare = [&](Attention& a) {
    dynamic_cast<nn::PerformerAttention&>(a).set_projection(peer.at("projection"));
  };
  double plain = peer.distance("other_eps", "performer:features=6");
  INFO("eps changes the output by " << plain);
  REQUIRE(plain > 1e-5);
  REQUIRE(plain < 1e-2);
  // The last key differs between the two cases, and nothing else.
  auto before_last = [](const Tensor& x) { return x.slice(2, 0, x.dim(2) - 1); };
  auto rows = [&](const std::string& name) { return before_last(peer.at(name + ".out")); };
  double leak =
      nn::conformance::rms_error(rows("other_eps_causal_later"), rows("other_eps_causal"));
  INFO("a later key changes earlier rows by " << leak);
  REQUIRE(leak > 1e-5);
  auto ours = [&](const std::string& name) {
    auto a = peer.make(name, "performer:features=6", true);
    return before_last(
        a->forward(peer.at(name + ".q"), peer.at(name + ".k"), peer.at(name + ".v"), {}));
  };
  REQUIRE(difference(ours("other_eps_causal_later"), ours("other_eps_causal")) == 0);
}

TEST_CASE("peers: nystrom-attention, one matrix a call or a converged inverse",
          "[peers][nystrom]") {
  Peer peer("nystrom");
  peer.equal("one", "nystrom:landmarks=4,iterations=6", false, {}, 1e-11);
  peer.equal("converged", "nystrom:landmarks=4,iterations=30");
  peer.equal("converged_padding", "nystrom:landmarks=3,iterations=30");
  peer.prepare = [&](Attention& a) {
    NoGrad guard;
    dynamic_cast<nn::NystromAttention&>(a).conv_weight.copy_(peer.at("conv.conv"));
  };
  peer.equal("conv", "nystrom:landmarks=4,iterations=6,conv=3", false, {{"conv_weight", "conv"}},
             1e-11);
}

TEST_CASE("peers: nystrom-attention starts from the batch, and lets its padding in",
          "[peers][nystrom]") {
  Peer peer("nystrom");
  for (const char* name : {"other_batch", "other_length", "other_padding"}) {
    double d = peer.distance(name, "nystrom:landmarks=4,iterations=6");
    INFO(name << ": " << d);
    REQUIRE(d > 1e-3);
  }
}

TEST_CASE("peers: linformer", "[peers][linformer]") {
  Peer peer("linformer");
  peer.prepare = [&](Attention& a) {
    auto& l = dynamic_cast<nn::LinformerAttention&>(a);
    NoGrad guard;
    l.E.copy_(peer.at("E"));
    if (l.F.defined()) l.F.copy_(peer.at("F"));
  };
  std::map<std::string, std::string> both = {{"E", "param.proj_k"}, {"F", "param.proj_v"}};
  for (const char* name : {"plain", "short", "cross", "one_kv_head"})
    peer.equal(name, "linformer:k=3", false, both);
  peer.equal("share", "linformer:k=3,share=kv", false, {{"E", "param.proj_k"}});
  double d = peer.distance("other_fewer_keys", "linformer:k=3");
  INFO("k above the number of keys: " << d);
  REQUIRE(d > 1e-3);
}

TEST_CASE("peers: x-transformers' sparse top-k, without ties", "[peers][topk]") {
  Peer peer("topk");
  peer.equal("plain", "topk:k=3");
  peer.equal("causal", "topk:k=3", true);
  peer.equal("padding", "topk:k=3");
  for (const char* name : {"other_ties", "other_groups"}) {
    double d = peer.distance(name, "topk:k=3");
    INFO(name << ": " << d);
    REQUIRE(d > 1e-3);
  }
}

TEST_CASE("peers: local-attention, by distance and by blocks", "[peers][window]") {
  Peer peer("window");
  peer.equal("both", "window:left=4,right=4");
  peer.equal("causal", "window:left=4", true);
  peer.equal("causal_wide", "window:left=8", true);
  peer.equal("padding", "window:left=4,right=4");
  peer.equal("blocks", "block_sparse:block=4,pattern=local,window=1");
  peer.equal("blocks_causal", "block_sparse:block=4,pattern=local,window=1", true);
  double d = peer.distance("other_autopad", "window:left=4,right=4");
  INFO("keys of its own padding: " << d);
  REQUIRE(d > 1e-3);
}

TEST_CASE("peers: efficient attention", "[peers][efficient]") {
  Peer peer("efficient");
  peer.equal("plain", "efficient");
  peer.equal("scaling", "efficient:norm=scaling");
  peer.equal("package", "efficient");
  double d = peer.distance("other_causal", "efficient", true);
  INFO("one denominator for all channels: " << d);
  REQUIRE(d > 1e-3);
}

TEST_CASE("peers: x-transformers' dense attention", "[peers][dense]") {
  Peer peer("dense");
  peer.equal("plain", "dense");
  peer.equal("causal", "dense", true);
  peer.equal("padding", "dense");
  double d = peer.distance("other_f32", "dense");
  INFO("a softmax in f32: " << d);
  REQUIRE(d > 1e-9);
  REQUIRE(d < 2e-6);
}
