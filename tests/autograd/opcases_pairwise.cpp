// Values weighted by relu(a_i + b_j), against two loops.
#include <algorithm>

#include <heed/autograd/ops/pairwise_relu.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

std::vector<OpCase> pairwise_cases();

namespace {

Values by_pairs(const std::vector<Values>& in) {
  const Values &a = in[0], &b = in[1], &v = in[2];
  int64_t group = a.shape[1] / v.shape[1];
  return filled({a.shape[0], a.shape[1], a.shape[2], v.shape[3]}, [&](const Shape& at) {
    double sum = 0;
    for (int64_t j = 0; j < b.shape[2]; ++j)
      sum += std::max(0.0, a({at[0], at[1], at[2]}) + b({at[0], at[1], j})) *
             v({at[0], at[1] / group, j, at[3]});
    return sum;
  });
}

}  // namespace

std::vector<OpCase> pairwise_cases() {
  OpCase c;
  c.op = "pairwise_relu";
  c.operands = std::vector<Operand>(3, in_range(-1, 1));
  struct Size {
    int64_t b, h, kv, t, s, e;
  };
  // A task takes 16 channels: less than one block, whole blocks, and blocks with a rest.
  for (Size z : {Size{1, 2, 1, 3, 4, 3}, Size{2, 1, 1, 5, 2, 1}, Size{1, 1, 1, 1, 1, 1},
                 Size{2, 4, 2, 17, 33, 24}, Size{1, 2, 2, 70, 65, 16}, Size{1, 1, 1, 40, 90, 37}})
    c.shapes.push_back({{z.b, z.h, z.t}, {z.b, z.h, z.s}, {z.b, z.kv, z.s, z.e}});
  c.terms = 8;
  c.run = [](const std::vector<Tensor>& in) { return pairwise_relu(in[0], in[1], in[2]); };
  c.reference = [](const std::vector<Tensor>& in) {
    return pairwise_relu_reference(in[0], in[1], in[2]);
  };
  c.naive = by_pairs;
  return {c};
}

}  // namespace heed::test
