// Optimizer steps against the published rules in double, several steps in a row.
#include <cmath>
#include <limits>

#include <heed/autograd/ops/optimizer.h>
#include <heed/backends/kernel.h>
#include <heed/core/random.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

using Numbers = std::vector<double>;

Tensor tensor_of(const Numbers& values, DType dtype) {
  return Tensor::from(values, {static_cast<int64_t>(values.size())}).to(dtype).clone();
}

Numbers random_numbers(int64_t n, uint64_t seed, DType dtype) {
  return Tensor(random_normal({n}, 0, 1, {seed, 0}, dtype)).to_vector();
}

// f(dtype, n) for each level, dtype and a few sizes: counts what it compared.
int64_t everywhere(const std::function<int64_t(DType, int64_t)>& f) {
  const IsaLevel before = isa_level();
  int64_t checks = 0;
  for (IsaLevel level : {IsaLevel::baseline, IsaLevel::avx2, IsaLevel::avx512}) {
    if (!isa_available(level)) continue;
    set_isa_level(level);
    for (DType dtype : {DType::f32, DType::f64, DType::bf16})
      for (int64_t n : {0, 1, 7, 16, 35, 40000}) checks += f(dtype, n);
  }
  set_isa_level(before);
  return checks;
}

int64_t expect(const char* what, const Tensor& got, const Numbers& want) {
  double tolerance = got.dtype() == DType::f64 ? 1e-12 : got.dtype() == DType::f32 ? 2e-6 : 5e-3;
  if (!close(got.to_vector(), want, tolerance, 1e-2))
    throw Error(str(what, " of ", got.shape(), " ", got.dtype(), " differs from the rule"));
  return 1;
}

constexpr double kRate = 0.02, kScale = 0.5;

Tensor step_state(int64_t step) {
  return Tensor::from(std::vector<double>{kRate, static_cast<double>(step), kScale, 0},
                      {kStepValues});
}

// For bf16: a value that does not round to the parameter, so the first step has to take the
// parameter's.
Tensor master_for(DType dtype, int64_t n) {
  return dtype == DType::bf16 ? full({n}, 1e6) : Tensor();
}
int64_t expect_master(const Tensor& master, const Numbers& want) {
  return master.defined() ? expect("master", master, want) : 0;  // as exact as f32
}

int64_t check_adam(const AdamSettings& s, DType dtype, int64_t n) {
  Numbers p = random_numbers(n, 1, dtype), m(p.size()), v(p.size());
  const DType wide = accumulate_dtype(dtype);
  Tensor tp = tensor_of(p, dtype), tm = zeros({n}, wide), tv = zeros({n}, wide);
  Tensor master = master_for(dtype, n);
  uint32_t version = tp.array().storage().version();
  for (int64_t t = 1; t <= 4; ++t) {
    Numbers g = random_numbers(n, 10 + static_cast<uint64_t>(t), dtype);
    adam_step_(tp, tensor_of(g, dtype), tm, tv, step_state(t), s, master);
    for (size_t i = 0; i < p.size(); ++i) {
      double gi = g[i] * kScale, rate = kRate * s.lr_factor;
      if (s.decoupled) p[i] *= 1 - rate * s.weight_decay;
      else gi += s.weight_decay * p[i];
      m[i] = s.beta1 * m[i] + (1 - s.beta1) * gi;
      v[i] = s.beta2 * v[i] + (1 - s.beta2) * gi * gi;
      double mean = m[i] / (1 - std::pow(s.beta1, t)), square = v[i] / (1 - std::pow(s.beta2, t));
      p[i] -= rate * mean / (std::sqrt(square) + s.eps);
    }
  }
  if (tp.array().storage().version() == version) throw Error("adam_step_ did not bump the version");
  return expect("parameter", tp, p) + expect("m", tm, m) + expect("v", tv, v) +
         expect_master(master, p);
}

int64_t check_sgd(const SgdSettings& s, DType dtype, int64_t n) {
  Numbers p = random_numbers(n, 1, dtype), b(p.size());
  Tensor tp = tensor_of(p, dtype), master = master_for(dtype, n);
  Tensor tb = full({n}, NAN, accumulate_dtype(dtype));  // what a first step must not read
  for (int64_t t = 1; t <= 4; ++t) {
    Numbers g = random_numbers(n, 10 + static_cast<uint64_t>(t), dtype);
    sgd_step_(tp, tensor_of(g, dtype), s.momentum == 0 ? Tensor() : tb, t == 1, step_state(t), s,
              master);
    for (size_t i = 0; i < p.size(); ++i) {
      double gi = g[i] * kScale + s.weight_decay * p[i];
      if (s.momentum != 0) {
        b[i] = t == 1 ? gi : s.momentum * b[i] + (1 - s.dampening) * gi;
        gi = s.nesterov ? gi + s.momentum * b[i] : b[i];
      }
      p[i] -= kRate * s.lr_factor * gi;
    }
  }
  return expect("parameter", tp, p) + expect_master(master, p) +
         (s.momentum == 0 ? 0 : expect("buffer", tb, b));
}

int64_t check_norm(DType dtype, int64_t n) {
  Numbers a = random_numbers(n, 1, dtype), b = random_numbers(70000, 2, DType::f64);
  double total = 0;
  for (double x : a) total += x * x;
  for (double x : b) total += x * x;
  return expect("norm", global_norm({tensor_of(a, dtype), Tensor(), tensor_of(b, DType::f64)}),
                {std::sqrt(total)});
}

OpCase one(const std::string& op, const std::string& label,
           std::function<int64_t(DType, int64_t)> f) {
  OpCase c;
  c.op = op;
  c.label = label;
  c.custom = [f] { return everywhere(f); };
  return c;
}

// The step state through good steps, a loss and a norm that are not finite, and steps after them.
int64_t check_step_state(DType dtype, int64_t) {
  const double inf = std::numeric_limits<double>::infinity();
  Tensor state = zeros({kStepValues}, DType::f64);
  auto one = [&](double x, DType d) { return full({}, x, d); };
  mark_not_finite_(one(3, dtype), state);
  set_clip_factor_(one(4, DType::f64), 2, state);
  begin_step_(0.5, state);
  int64_t checks = expect("a good step", state, {0.5, 1, 2 / (4 + 1e-6), 0});
  set_clip_factor_(one(1, DType::f64), 2, state);
  checks += expect("no clipping", state, {0.5, 1, 1, 0});
  Tensor by_norm = state.clone();
  set_clip_factor_(one(inf, DType::f64), 2, by_norm);
  begin_step_(0.25, by_norm);
  checks += expect("a norm of inf", by_norm, {0.5, 1, 0, 2});
  mark_not_finite_(one(-inf, dtype), state);
  begin_step_(0.25, state);
  mark_not_finite_(one(NAN, dtype), state);
  checks += expect("a loss of -inf", state, {0.5, 1, 1, 2});

  // What forward changed: left alone after a good step, put back after a failed one.
  Tensor value = one(2, dtype), kept = one(1, dtype), good = zeros({kStepValues}, DType::f64);
  restore_if_failed_({value}, {kept}, good);
  checks += expect("a value of a good step", value, {2});
  uint32_t version = value.array().storage().version();
  restore_if_failed_({kept, value}, {kept, kept}, state);
  checks += expect("a value of a failed step", value, {1});
  if (value.array().storage().version() == version) throw Error("the version was not bumped");

  if (dtype == DType::bf16) return checks;  // its state is in f32, which was checked
  Tensor p = full({3}, 1, dtype), g = full({3}, 1, dtype), m = zeros({3}, dtype), v = m.clone();
  adam_step_(p, g, m, v, state, {});
  sgd_step_(p, g, Tensor(), false, state, {});
  return checks + expect("the parameter of a failed step", p, {1, 1, 1}) +
         expect("its moment", m, {0, 0, 0});
}

OpCase adam(const std::string& label, AdamSettings s) {
  return one("adam_step_", label, [s](DType d, int64_t n) { return check_adam(s, d, n); });
}
OpCase sgd(const std::string& label, SgdSettings s) {
  return one("sgd_step_", label, [s](DType d, int64_t n) { return check_sgd(s, d, n); });
}

}  // namespace

std::vector<OpCase> optimizer_cases() {
  return {adam("plain", {}),
          adam("decoupled decay", {0.8, 0.95, 1e-6, 0.1, 0.5, true}),
          adam("L2", {0.9, 0.999, 1e-8, 0.1, 1, false}),
          sgd("plain", {}),
          sgd("decay", {0, 0, 0.1, 2, false}),
          sgd("momentum", {0.9, 0.3, 0.1, 1, false}),
          sgd("nesterov", {0.9, 0, 0.1, 1, true}),
          one("global_norm", "", check_norm),
          one("begin_step_", "", check_step_state),
          one("mark_not_finite_", "", check_step_state),
          one("set_clip_factor_", "", check_step_state),
          one("restore_if_failed_", "", check_step_state)};
}

}  // namespace heed::test
