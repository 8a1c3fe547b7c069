#include <heed/nn/attention/performer.h>

#include <cmath>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>

namespace heed::nn {

namespace {

// Gram-Schmidt on the rows of one Gaussian block [dim, dim], in double and twice, since one pass
// loses precision. Its triangular factor has a positive diagonal, so the result is uniformly
// distributed over the orthogonal matrices (Mezzadri 2007); a QR with other signs is not.
void orthogonalise(double* block, int64_t dim) {
  for (int64_t r = 0; r < dim; ++r) {
    double* row = block + r * dim;
    auto dot = [&](const double* a, const double* b) {
      double total = 0;
      for (int64_t i = 0; i < dim; ++i) total += a[i] * b[i];
      return total;
    };
    for (int pass = 0; pass < 2; ++pass)
      for (int64_t s = 0; s < r; ++s) {
        const double* other = block + s * dim;
        double along = dot(row, other);
        for (int64_t i = 0; i < dim; ++i) row[i] -= along * other[i];
      }
    double length = std::sqrt(dot(row, row));
    for (int64_t i = 0; i < dim; ++i) row[i] /= length;
  }
}

}  // namespace

Tensor random_projection(int64_t m, int64_t dim, bool orthogonal, RandomKey key, DType dtype) {
  if (m < 1 || dim < 1)
    throw ValueError(str("random_projection: sizes must be positive, got ", m, " and ", dim));
  int64_t blocks = (m + dim - 1) / dim, all = blocks * dim;
  Array rows = random_normal({all, dim}, 0, 1, key, DType::f64);
  double* w = rows.data<double>();
  if (orthogonal) {
    // Norms chi(dim), of rows drawn only for this: the block's own norms depend on its directions.
    RandomKey next{key.seed, key.offset + static_cast<uint64_t>((all * dim + 3) / 4)};
    Array other = random_normal({all, dim}, 0, 1, next, DType::f64);
    for (int64_t b = 0; b < blocks; ++b) orthogonalise(w + b * dim * dim, dim);
    const double* o = other.data<double>();
    for (int64_t r = 0; r < all; ++r) {
      double square = 0;
      for (int64_t i = 0; i < dim; ++i) square += o[r * dim + i] * o[r * dim + i];
      for (int64_t i = 0; i < dim; ++i) w[r * dim + i] *= std::sqrt(square);
    }
  }
  return Tensor(rows).slice(0, 0, m).to(dtype);  // [m, dim]
}

static int64_t numbers_drawn(int64_t m, int64_t dim) {
  return 2 * ((m + dim - 1) / dim * dim) * dim;
}

PerformerAttention::PerformerAttention(AttentionConfig c) : PerformerAttention(c, Tensor()) {
  RandomKey key = default_generator().take(numbers_drawn(rows_, c.head_dim));
  projection_ = random_projection(rows_, c.head_dim, orthogonal_, key, default_dtype())
                    .to(default_device());  // [m, D]
}

PerformerAttention::PerformerAttention(AttentionConfig c, const Tensor& rows)
    : FeatureAttention(c, c.options.number("eps", 1e-6, 0)),
      rows_(c.options.integer("features", 256, 1)),
      redraw_(c.options.integer("redraw", 1000, 0)),
      hyperbolic_(c.options.choice("kind", "positive", {"positive", "hyperbolic"}) == "hyperbolic"),
      orthogonal_(c.options.flag("orthogonal", true)),
      projection_(rows) {
  register_buffer("projection", projection_);
}

void PerformerAttention::set_projection(const Tensor& rows) {
  if (!(rows.shape() == projection_.shape()))
    throw ShapeError(
        str("performer: a projection ", projection_.shape(), " expected, got ", rows.shape()));
  NoGrad guard;
  projection_.set_value(rows.to(projection_.dtype()).to(projection_.device()).clone().array());
}

void PerformerAttention::on_step(int64_t step, RandomKey key) {
  if (redraw_ == 0 || step <= 0 || step % redraw_ != 0) return;
  set_projection(
      random_projection(rows_, config().head_dim, orthogonal_, key, projection_.dtype()));
}

double PerformerAttention::scale_of(const std::optional<float>& scale) const {
  return scale ? *scale : default_scale();
}

// The rows are scaled, not x: there are fewer of them.
Tensor PerformerAttention::projected(const Tensor& x, double root) const {
  Tensor p = linear(x, projection_.to(x.dtype()) * root);  // [B, heads, N, m]
  return hyperbolic_ ? concat({p, -p}, -1) : p;            // [B, heads, N, R]
}

static double root_of(double scale) { return std::sqrt(std::fabs(scale)); }

// A query's |q'|^2 / 2 cancels in the ratio. A negative scale flips the sign of the queries.
Features PerformerAttention::query_features(const Tensor& q, const AttentionCall& call,
                                            const Lengths&) const {
  double scale = scale_of(call.scale);
  return exponential_features(projected(q, scale < 0 ? -root_of(scale) : root_of(scale)));
}

Features PerformerAttention::key_features(const Tensor& k, const AttentionCall& call,
                                          const Lengths&) const {
  double scale = scale_of(call.scale);
  Features f = exponential_features(projected(k, root_of(scale)));
  f.level = f.level - sum(square(k), {-1}, true) * (std::fabs(scale) / 2);  // [B, Hkv, S, 1]
  return f;
}

Tensor PerformerAttention::raw_features(const Tensor& x, std::optional<float> scale) const {
  double used = scale_of(scale);
  Tensor shift = sum(square(x), {-1}, true) * (std::fabs(used) / 2);  // [.., 1]
  return exp(projected(x, root_of(used)) - shift) / std::sqrt(static_cast<double>(features()));
}

FeatureDiagnosis PerformerAttention::diagnose(const Tensor& x, std::optional<float> scale) const {
  NoGrad guard;
  FeatureDiagnosis out;
  if (x.numel() == 0) return out;
  Tensor phi = exponential_features(projected(x, root_of(scale_of(scale)))).phi;
  out.below_eps = mean(less(phi, eps()).to(phi.dtype())).item();
  out.effective_features = mean(square(sum(phi, {-1})) / sum(square(phi), {-1})).item();
  return out;
}

Traits PerformerAttention::traits() const {
  Traits t = FeatureAttention::traits();
  t.row_stochastic = eps() == 0;  // otherwise eps takes a share of each row
  return t;
}

std::shared_ptr<FeatureAttention> PerformerAttention::equal_copy() const {
  return std::shared_ptr<PerformerAttention>(
      new PerformerAttention(config(), projection_.detach().clone()));
}

std::optional<ExactLimit> PerformerAttention::exact_limit(const AttentionShape& shape) const {
  std::optional<ExactLimit> limit = FeatureAttention::exact_limit(shape);
  Tensor rows = projection_.detach().clone();
  limit->prepare = [rows](Attention& other) {
    dynamic_cast<PerformerAttention&>(other).set_projection(rows);
  };
  return limit;
}

Cost PerformerAttention::cost(const AttentionShape& shape, Pass pass) const {
  Cost c = FeatureAttention::cost(shape, pass);
  // The scaled rows, saved once for queries and once for keys.
  c.activation_bytes += 2 * projection_.numel() * static_cast<int64_t>(size_of(shape.dtype));
  return c;
}

// The rows have no gradient, so backward is one product as well.
int64_t PerformerAttention::map_flops(int64_t tokens, Pass) const {
  return 2 * tokens * config().head_dim * rows_;
}

int64_t PerformerAttention::map_activations(int64_t tokens) const { return 2 * tokens; }

}  // namespace heed::nn
