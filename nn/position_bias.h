// Positions as a term added to attention scores; both go into a Mask.
#pragma once

#include <heed/nn/attention/mask.h>
#include <heed/nn/module.h>

namespace heed::nn {

// ALiBi (Press et al. 2021): score -= m_h |i - j|. Two conventions exist for head counts that are
// no power of two; for powers of two they agree: m_h = 2^(-8 h / H), h = 1 .. H.
enum class AlibiSlopes {
  power_of_two_interpolated,  // the authors' code: the set of the next lower power of two, then
                              // every other slope of twice that many heads
  geometric,                  // 2^(-8 h / H) for any H
};
AlibiSlopes alibi_slopes_from_name(const std::string& name);
Tensor alibi_slopes(int64_t heads, AlibiSlopes convention = AlibiSlopes::power_of_two_interpolated,
                    DType dtype = DType::f32);  // [H]

// T5 (Raffel et al. 2020): a learned number for each head and bucket of j - i. One table serves all
// layers of a stack. T5 itself leaves out the factor 1 / sqrt(D).
class RelativeBias : public Module {
 public:
  explicit RelativeBias(int64_t heads, bool bidirectional = true, int64_t buckets = 32,
                        int64_t max_distance = 128);
  Mask term() const { return Mask::relative(table, bidirectional_, max_distance_); }
  std::string type_name() const override;

  Tensor table;  // [H, buckets], normal(0, 0.02)

 private:
  bool bidirectional_;
  int64_t max_distance_;
};

}  // namespace heed::nn
