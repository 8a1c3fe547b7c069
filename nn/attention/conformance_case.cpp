#include <heed/nn/attention/conformance_case.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include <heed/autograd/backward.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>

namespace heed::nn::conformance {

namespace {

// Parameters come from the default generator: the kit seeds it and restores it afterwards.
class SeedGuard {
 public:
  explicit SeedGuard(uint64_t seed)
      : seed_(default_generator().seed()), offset_(default_generator().offset()) {
    manual_seed(seed);
  }
  ~SeedGuard() { default_generator().set_state(seed_, offset_); }
  SeedGuard(const SeedGuard&) = delete;

 private:
  uint64_t seed_, offset_;
};

Options options_of(const std::string& name, const std::string& options) {
  return parse_spec(options.empty() ? name : name + ":" + options).options;
}

double infinite() { return std::numeric_limits<double>::infinity(); }

}  // namespace

std::vector<Tensor> Evaluation::all() const {
  std::vector<Tensor> list{out, q, k, v};
  list.insert(list.end(), parameters.begin(), parameters.end());
  return list;
}

Case::Case(const AttentionEntry& e, const std::string& options, DType t, uint64_t s,
           CheckResult& result)
    : entry(e), dtype(t), seed(s), options_(options_of(e.name, options)), result_(result) {
  std::unique_ptr<Attention> first;
  std::string reason;
  for (int64_t width : {3, 4}) {
    value_dim = width;
    try {
      first = make_plain(config(false, 16));
      break;
    } catch (const Error& error) {
      reason = error.what();
    }
    try {  // a variant that is causal only
      first = make_plain(config(true, 16));
      break;
    } catch (const Error&) {
    }
  }
  if (!first) throw Failed{"cannot be built with head_dim 4: " + reason};
  traits = first->traits();
  if (!first->config().causal) forms.push_back(false);
  if (traits.causal) forms.push_back(true);
  AttentionShape shape{.batch = 1,
                       .heads = 2,
                       .kv_heads = 2,
                       .queries = 8,
                       .keys = 8,
                       .head_dim = 4,
                       .value_dim = value_dim,
                       .dtype = dtype};
  // In its exact limit a variant states what its arithmetic loses in f32.
  if (auto limit = first->exact_limit(shape))
    f32_tolerance_ = std::max(f32_tolerance_, limit->tolerance_f32);
}

bool Case::has_form(bool causal) const {
  return std::find(forms.begin(), forms.end(), causal) != forms.end();
}

void Case::not_applicable(const std::string& reason) const { throw NotApplicable{reason}; }

void Case::require_trait(bool supported, const std::string& trait) const {
  if (supported) return;
  auto why = traits.why.find(trait);
  throw NotApplicable{
      str("traits: no ", trait, why == traits.why.end() ? "" : " (" + why->second + ")")};
}

AttentionConfig Case::config(bool causal, int64_t max_length) const {
  return {.heads = 2,
          .kv_heads = 2,
          .head_dim = 4,
          .value_dim = value_dim,
          .max_length = max_length,
          .causal = causal,
          .options = options_};
}

std::unique_ptr<Attention> Case::make_plain(const AttentionConfig& config, uint64_t stream) const {
  SeedGuard guard(seed * 1000 + stream);
  SharedParameters shared;
  std::unique_ptr<Attention> attention = entry.make(config, shared);
  if (!attention) throw Failed{"the factory returns nothing"};
  config.options.check_known();
  attention->check_config();
  attention->to(dtype);
  return attention;
}

std::unique_ptr<Attention> Case::make(const AttentionConfig& config, uint64_t stream) const {
  std::unique_ptr<Attention> attention = make_plain(config, stream);
  NoGrad guard;
  uint64_t number = 100;
  for (const Tensor& p : attention->parameters())
    p.copy_(p.detach() + 0.1 * normal(p.shape(), ++number));
  return attention;
}

std::unique_ptr<Attention> Case::make_like(const Attention& model,
                                           const AttentionConfig& config) const {
  std::unique_ptr<Attention> attention = make_plain(config);
  attention->load_state_dict(model.state_dict());
  return attention;
}

// Drawn in f32, so that f32 and f64 see the same numbers.
Tensor Case::normal(const Shape& shape, uint64_t stream) const {
  return Tensor(random_normal(shape, 0, 1, {seed + 1000 * stream, 0}, DType::f32)).to(dtype);
}

Triple Case::inputs(const AttentionConfig& c, int64_t batch, int64_t queries, int64_t keys,
                    uint64_t stream) const {
  Triple in;
  in.q = normal({batch, c.heads, queries, c.head_dim}, 10 * stream + 1);
  in.k = traits.shared_qk ? in.q : normal({batch, c.kv_heads, keys, c.head_dim}, 10 * stream + 2);
  in.v = normal({batch, c.kv_heads, keys, c.value_dim}, 10 * stream + 3);
  return in;
}

AttentionCall Case::call(Mask mask) const {
  AttentionCall call;
  call.mask = std::move(mask);
  call.random = {seed + 77, 0};
  return call;
}

// Away from zero, and not constant: the gradient of the sum of a softmax is zero.
Tensor Case::cotangent(const Attention& a, const Triple& in, uint64_t stream) const {
  Tensor u = normal({in.q.dim(0), a.config().heads, in.q.dim(2), a.config().value_dim},
                    500 + stream);  // [B, H, T, E]
  return where(less(u, 0.0), 0.5 * u - 0.5, 0.5 * u + 0.5);
}

Evaluation Case::evaluate(const Attention& a, const Triple& in, const AttentionCall& call,
                          const Tensor& cotangent) const {
  auto leaf = [](const Tensor& x) { return x.detach().clone().set_requires_grad(true); };
  bool shared = in.k.impl() == in.q.impl();
  Tensor q = leaf(in.q), k = shared ? q : leaf(in.k), v = leaf(in.v);
  std::vector<Tensor> leaves{q, v};
  if (!shared) leaves.push_back(k);
  std::vector<Tensor> parameters = a.parameters();
  leaves.insert(leaves.end(), parameters.begin(), parameters.end());
  Evaluation p;
  p.out = a.forward(q, k, v, call);
  std::vector<Tensor> found(leaves.size());
  if (p.out.requires_grad()) found = grad({p.out}, leaves, {cotangent}, {.allow_unused = true});
  p.out = p.out.detach();
  for (size_t i = 0; i < leaves.size(); ++i)
    if (!found[i].defined()) found[i] = zeros(leaves[i].shape(), dtype);
  p.q = found[0];
  p.v = found[1];
  p.k = shared ? zeros(k.shape(), dtype) : found[2];
  p.parameters.assign(found.begin() + (shared ? 2 : 3), found.end());
  return p;
}

bool Case::refuses(const std::function<void()>& f, std::string* message) const {
  try {
    f();
  } catch (const Error& error) {
    bool kind = dynamic_cast<const ValueError*>(&error) || dynamic_cast<const ShapeError*>(&error);
    std::string text = error.what();
    if (message) *message = text;
    return kind && text.starts_with(entry.name);
  }
  if (message) *message = "nothing was thrown";
  return false;
}

double Case::tolerance(double terms) const {
  return (dtype == DType::f64 ? 1e-12 : f32_tolerance_) * std::sqrt(std::max(terms, 1.0));
}

// Keeps the comparison that came closest to its bound, or exceeded it most.
void Case::count(double measured, double bound, bool at_least, const std::string& where) {
  ++result_.compared;
  bool good = at_least ? measured >= bound : measured <= bound;  // NaN: no
  double ratio = at_least ? bound / measured : bound > 0 ? measured / bound : measured;
  if (!good) ratio = infinite();
  if (ratio > closest_) {
    closest_ = ratio;
    result_.measured = measured;
    result_.bound = bound;
    result_.at_least = at_least;
  }
  if (!good) throw Failed{where};
}

void Case::at_most(double measured, double bound, const std::string& where) {
  count(measured, bound, false, where);
}

void Case::at_least(double measured, double bound, const std::string& where) {
  count(measured, bound, true, where);
}

void Case::require(bool good, const std::string& where) { at_most(good ? 0 : 1, 0, where); }

void Case::close(const Tensor& actual, const Tensor& expected, double bound,
                 const std::string& where) {
  at_most(rms_error(actual, expected), bound, where);
}

void Case::same(const Tensor& actual, const Tensor& expected, const std::string& where) {
  at_most(largest_difference(actual, expected), 0, where);
}

void Case::same(const Evaluation& actual, const Evaluation& expected, const std::string& where) {
  static const char* const names[] = {"output", "gradient of q", "gradient of k", "gradient of v"};
  std::vector<Tensor> a = actual.all(), b = expected.all();
  for (size_t i = 0; i < a.size(); ++i)
    same(a[i], b[i], str(where, ": ", i < 4 ? names[i] : "gradient of a parameter"));
}

void Case::zero(const Tensor& actual, const std::string& where) {
  double most = 0;
  for (double x : actual.to_vector())
    if (!(std::fabs(x) <= most)) most = std::isnan(x) ? infinite() : std::fabs(x);
  at_most(most, 0, where);
}

void Case::finite(const Tensor& actual, const std::string& where) {
  bool good = true;
  for (double x : actual.to_vector()) good = good && std::isfinite(x);
  require(good, where);
}

double rms_error(const Tensor& actual, const Tensor& expected) {
  if (!(actual.shape() == expected.shape())) return infinite();
  std::vector<double> a = actual.to_vector(), b = expected.to_vector();
  double error = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    error += (a[i] - b[i]) * (a[i] - b[i]);
    size += b[i] * b[i];
  }
  if (a.empty()) return 0;
  double n = static_cast<double>(a.size());
  double ratio = std::sqrt(error / n) / std::max(std::sqrt(size / n), 1e-2);
  return std::isnan(ratio) ? infinite() : ratio;
}

double largest_difference(const Tensor& actual, const Tensor& expected) {
  if (!(actual.shape() == expected.shape())) return infinite();
  std::vector<double> a = actual.to_vector(), b = expected.to_vector();
  double most = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    double d = std::fabs(a[i] - b[i]);
    if (!(d <= most)) most = std::isnan(d) ? infinite() : d;
  }
  return most;
}

Tensor with_tokens(const Tensor& x, int axis, int64_t begin, int64_t end, const Tensor& source) {
  Tensor copy = x.detach().clone();
  copy.slice(axis, begin, end).copy_(source.slice(axis, begin, end));
  return copy;
}

Tensor row_range(const Tensor& x, int64_t begin, int64_t end) { return x.slice(2, begin, end); }

Tensor repeat_item(const Tensor& x, int64_t item, int64_t batch) {
  return concat(std::vector<Tensor>(static_cast<size_t>(batch), x.slice(0, item, item + 1)), 0);
}

Tensor with_padding(const Tensor& x, const std::vector<int64_t>& begin,
                    const std::vector<int64_t>& end, double value) {
  Tensor copy = x.detach().clone();
  for (int64_t b = 0; b < x.dim(0); ++b) {
    Tensor row = copy.slice(0, b, b + 1);
    row.slice(2, 0, begin[static_cast<size_t>(b)]).fill_(value);
    row.slice(2, end[static_cast<size_t>(b)], x.dim(2)).fill_(value);
  }
  return copy;
}

}  // namespace heed::nn::conformance
