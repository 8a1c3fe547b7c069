// One OpCase describes a public op once; `check` derives from it, for every list of shapes:
//
//   values      against a naive loop in double: f64 within 1e-12, f32 within 2e-6 (RMS, times the
//               square root of K where an element is a sum of K numbers)
//   gradients   f32 against f64; central differences of first and second order on small shapes
//   bf16        values and gradients within 5e-3 of f64's at the same operands and cotangent, which
//               bf16 holds exactly
//   layouts     transposed, sliced and broadcast operands give what contiguous ones give
//   levels      all of the above at each instruction-set level that this processor has
//   device      the same bits, in f32 and bf16, on the test device (test_device.h), whose memory
//               the host cannot read
//   reference   a fused op and its composition agree, values and gradients
//
// To cover a new op, add one OpCase to the list of its family, tests/autograd/opcases_<family>.cpp.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include <heed/autograd/gradcheck.h>
#include <heed/autograd/tensor.h>

namespace heed::test {

// A row-major array of doubles: what naive functions take and give.
struct Values {
  Shape shape;
  std::vector<double> data;
  explicit Values(const Shape& s = {}) : shape(s), data(static_cast<size_t>(s.numel())) {}
  double& operator()(const Shape& index) { return data[place(index)]; }
  double operator()(const Shape& index) const { return data[place(index)]; }
  size_t place(const Shape& index) const;
};
using Naive = std::function<Values(const std::vector<Values>&)>;
using Run = std::function<Tensor(const std::vector<Tensor>&)>;

// out[index] = f(index) for every index of the shape.
Values filled(const Shape& shape, const std::function<double(const Shape& index)>& f);
// f of the operands' elements after broadcasting.
Naive pointwise(std::function<double(const std::vector<double>&)> f);

// How the values of one operand are drawn.
struct Operand {
  enum Kind { real, index, boolean };
  double low = -2, high = 2;
  double gap = 0;         // real: |x| >= gap, away from a kink at 0
  bool distinct = false;  // real: any two differ by 1e-2 at least
  Kind kind = real;
  int64_t bound = 0;  // index: [0, bound)
  bool wants_gradient = true;
};
inline Operand in_range(double low, double high) { return {low, high}; }
inline Operand away_from_zero(double low = -2, double high = 2) { return {low, high, 0.05}; }
inline Operand distinct_values() { return {-2, 2, 0, true}; }
inline Operand indices(int64_t bound) { return {0, 0, 0, false, Operand::index, bound, false}; }
inline Operand booleans() { return {0, 0, 0, false, Operand::boolean, 0, false}; }
inline Operand without_gradient(Operand o) {
  o.wants_gradient = false;
  return o;
}

struct OpCase {
  std::string op;     // the function's name in autograd/ops/*.h
  std::string label;  // which overload or setting
  std::vector<Operand> operands;
  // Lists of one shape per operand; all value checks run on every list.
  std::vector<std::vector<Shape>> shapes;
  Run run;
  Naive naive;         // empty: f64 itself is the oracle, `reference` required
  Run reference = {};  // the composition of a fused op
  bool second_order = true;
  double terms = 1;  // K: how many numbers a sum adds up
  double f32_tolerance = 2e-6;
  double f64_tolerance = 1e-12;
  bool layouts = true;
  // Further dtypes, on which operands are small whole numbers and results must be exact.
  std::vector<DType> dtypes = {};
  // A check instead of all the above: returns how many comparisons it made, or throws.
  std::function<int64_t()> custom = {};
};

struct Report {
  int64_t checks = 0;
  std::vector<std::string> failures;
};
Report check(const OpCase& c);
// First derivatives alone, on the small shapes; mutants of the op must fail this.
GradcheckResult gradcheck_of(const OpCase& c);

// RMS(a - b) <= tolerance max(RMS(b), scale)
bool close(const std::vector<double>& a, const std::vector<double>& b, double tolerance,
           double scale);

// One-dimensional shapes around the vector widths: 1 to 2 W + 3 for the widest (W = 16), for each
// of `operands`.
std::vector<std::vector<Shape>> vector_sizes(int operands);

// The lists, one per family, and all of them together.
std::vector<OpCase> unary_cases(), binary_cases(), view_cases(), reduce_cases(), index_cases(),
    matmul_cases(), softmax_cases(), norm_cases(), image_norm_cases(), dropout_cases(),
    loss_cases(), attention_cases(), optimizer_cases(), decompose_cases(), conv_cases(),
    pool_cases();
const std::vector<OpCase>& all_cases();

}  // namespace heed::test
