#include <heed/nn/position_bias.h>

#include <cmath>

#include <heed/core/error.h>
#include <heed/nn/init.h>

namespace heed::nn {

AlibiSlopes alibi_slopes_from_name(const std::string& name) {
  if (name == "power_of_two_interpolated") return AlibiSlopes::power_of_two_interpolated;
  if (name == "geometric") return AlibiSlopes::geometric;
  throw ValueError(str("alibi_slopes: unknown convention '", name,
                       "'; there are power_of_two_interpolated, geometric"));
}

static double geometric_slope(int64_t h, int64_t heads) {  // h from 1
  return std::exp2(-8.0 * static_cast<double>(h) / static_cast<double>(heads));
}

Tensor alibi_slopes(int64_t heads, AlibiSlopes convention, DType dtype) {
  if (heads < 1) throw ValueError(str("alibi_slopes: heads must be positive, got ", heads));
  int64_t base = heads;
  if (convention == AlibiSlopes::power_of_two_interpolated)
    for (base = 1; base * 2 <= heads;) base *= 2;
  std::vector<double> slopes;
  for (int64_t h = 1; h <= base; ++h) slopes.push_back(geometric_slope(h, base));
  for (int64_t h = 1; static_cast<int64_t>(slopes.size()) < heads; h += 2)
    slopes.push_back(geometric_slope(h, 2 * base));
  return Tensor::from(slopes, {heads}).to(dtype);  // [H]
}

RelativeBias::RelativeBias(int64_t heads, bool bidirectional, int64_t buckets, int64_t max_distance)
    : bidirectional_(bidirectional), max_distance_(max_distance) {
  int64_t least = bidirectional ? 4 : 2;
  if (heads < 1 || buckets < least || buckets % 2 != 0)
    throw ValueError(str("RelativeBias: heads >= 1 and an even number of buckets >= ", least,
                         " expected, got ", heads, " and ", buckets));
  int64_t exact = (bidirectional ? buckets / 2 : buckets) / 2;
  if (max_distance <= exact)
    throw ValueError(str("RelativeBias: max_distance must be above ", exact,
                         ", the distances with a bucket of their own, got ", max_distance));
  table = zeros({heads, buckets});
  init::normal_(table, 0, 0.02);
  register_parameter("table", table);
}

std::string RelativeBias::type_name() const {
  return str("RelativeBias(", table.dim(0), ", ", table.dim(1), ")");
}

}  // namespace heed::nn
