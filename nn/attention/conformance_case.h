// Inside the conformance kit: what its checks share. A check is a function of a Case, which builds
// the variant, makes inputs and compares; the first comparison that fails ends the check.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <heed/nn/attention/conformance.h>

namespace heed::nn::conformance {

struct Failed {
  std::string detail;
};
struct NotApplicable {
  std::string reason;
};

// k is q itself where the variant shares them.
struct Triple {
  Tensor q, k, v;  // [B, H, T, D], [B, Hkv, S, D], [B, Hkv, S, E]
};

// Output and gradients for one cotangent.
struct Evaluation {
  Tensor out;                      // [B, H, T, E]
  Tensor q, k, v;                  // k: zeros where it is q itself
  std::vector<Tensor> parameters;  // zeros where unused
  std::vector<Tensor> all() const;
};

class Case {
 public:
  Case(const AttentionEntry& entry, const std::string& options, DType dtype, uint64_t seed,
       CheckResult& result);

  const AttentionEntry& entry;
  const DType dtype;
  const uint64_t seed;
  Traits traits;            // of the non-causal form, where there is one
  std::vector<bool> forms;  // values of `causal` that can be built
  int64_t value_dim = 3;    // 4 where value_dim must equal head_dim
  bool has_form(bool causal) const;
  [[noreturn]] void not_applicable(const std::string& reason) const;
  // not_applicable unless `supported`, with the reason that the variant gives for `trait`.
  void require_trait(bool supported, const std::string& trait) const;

  // H = Hkv = 2, D = 4, E = value_dim.
  AttentionConfig config(bool causal, int64_t max_length) const;
  // With parameters moved off their initial values, so that no fault hides behind a zero.
  std::unique_ptr<Attention> make(const AttentionConfig& config, uint64_t stream = 0) const;
  std::unique_ptr<Attention> make_plain(const AttentionConfig& config, uint64_t stream = 0) const;
  // The same variant with another configuration and the parameters of `model`.
  std::unique_ptr<Attention> make_like(const Attention& model, const AttentionConfig& config) const;

  Tensor normal(const Shape& shape, uint64_t stream) const;
  Triple inputs(const AttentionConfig& config, int64_t batch, int64_t queries, int64_t keys,
                uint64_t stream = 0) const;
  AttentionCall call(Mask mask = {}) const;
  Tensor cotangent(const Attention& a, const Triple& in, uint64_t stream = 7) const;
  Evaluation evaluate(const Attention& a, const Triple& in, const AttentionCall& call,
                      const Tensor& cotangent) const;
  // True if f throws a ValueError or ShapeError that begins with the variant's name.
  bool refuses(const std::function<void()>& f, std::string* message = nullptr) const;

  // The relative error allowed in a sum of `terms` numbers.
  double tolerance(double terms) const;
  void close(const Tensor& actual, const Tensor& expected, double bound, const std::string& where);
  void same(const Tensor& actual, const Tensor& expected, const std::string& where);  // bits
  void same(const Evaluation& actual, const Evaluation& expected, const std::string& where);
  void zero(const Tensor& actual, const std::string& where);
  void finite(const Tensor& actual, const std::string& where);
  void at_most(double measured, double bound, const std::string& where);
  void at_least(double measured, double bound, const std::string& where);
  void require(bool good, const std::string& where);

 private:
  void count(double measured, double bound, bool at_least, const std::string& where);
  Options options_;
  CheckResult& result_;
  double closest_ = -1;
  double f32_tolerance_ = 2e-6;
};

// RMS(a - b) / max(RMS(b), 0.01): inputs and cotangents of the kit have RMS 1. Infinite for NaN
// and for shapes that differ.
double rms_error(const Tensor& actual, const Tensor& expected);
double largest_difference(const Tensor& actual, const Tensor& expected);
// x with tokens [begin, end) of `axis` replaced by those of `source`.
Tensor with_tokens(const Tensor& x, int axis, int64_t begin, int64_t end, const Tensor& source);
Tensor row_range(const Tensor& x, int64_t begin, int64_t end);     // of axis 2
Tensor repeat_item(const Tensor& x, int64_t item, int64_t batch);  // [batch, ..], all item `item`
// x [B, H, N, C] with `value` at tokens outside [begin[b], end[b]).
Tensor with_padding(const Tensor& x, const std::vector<int64_t>& begin,
                    const std::vector<int64_t>& end, double value);

// The checks. A comment begins the group of each file: conformance_masking.cpp and so on.
void check_causality(Case& c);  // masking
void check_reach(Case& c);
void check_prefix(Case& c);
void check_offset(Case& c);
void check_padding(Case& c);  // padding
void check_left_padding(Case& c);
void check_batch(Case& c);
void check_masked_rows(Case& c);
void check_nan(Case& c);
void check_exact_limit(Case& c);  // values
void check_linearity(Case& c);
void check_row_sums(Case& c);
void check_permutation(Case& c);
void check_weights(Case& c);
void check_reference(Case& c);
void check_precision(Case& c);
void check_gradients(Case& c);  // gradients
void check_second_derivatives(Case& c);
void check_decode(Case& c);  // decode
void check_decode_state(Case& c);
void check_determinism(Case& c);  // state
void check_memoryless(Case& c);
void check_save_load(Case& c);
void check_dropout(Case& c);
void check_lengths(Case& c);  // shapes
void check_sizes(Case& c);
void check_empty(Case& c);
void check_grouped(Case& c);
void check_pair_mask(Case& c);  // terms
void check_bias(Case& c);
void check_refusals(Case& c);
void check_memory(Case& c);  // cost
void check_flops(Case& c);
void check_activations(Case& c);

}  // namespace heed::nn::conformance
