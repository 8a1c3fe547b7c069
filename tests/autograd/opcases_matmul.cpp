#include <heed/autograd/ops/matmul.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

// Batch axes broadcast; rank 1 counts as a row or column.
Values product(const Values& a, const Values& b) {
  Shape sa = a.shape, sb = b.shape;
  if (sa.rank() == 1) sa.insert(0, 1);
  if (sb.rank() == 1) sb.push_back(1);
  Values left = a, right = b;
  left.shape = sa;
  right.shape = sb;
  int ra = sa.rank(), rb = sb.rank();
  Shape shape = broadcast(Shape(sa.begin(), ra - 2), Shape(sb.begin(), rb - 2), "naive");
  shape.push_back(sa[ra - 2]);
  shape.push_back(sb[rb - 1]);
  int r = shape.rank();
  Values out = filled(shape, [&](const Shape& index) {
    Shape ia = sa, ib = sb;
    for (int i = 0; i < ra - 2; ++i) ia[i] = sa[i] == 1 ? 0 : index[r - ra + i];
    for (int i = 0; i < rb - 2; ++i) ib[i] = sb[i] == 1 ? 0 : index[r - rb + i];
    ia[ra - 2] = index[r - 2];
    ib[rb - 1] = index[r - 1];
    double sum = 0;
    for (int64_t k = 0; k < sa[ra - 1]; ++k) {
      ia[ra - 1] = ib[rb - 2] = k;
      sum += left(ia) * right(ib);
    }
    return sum;
  });
  if (b.shape.rank() == 1) out.shape.erase(r - 1);
  if (a.shape.rank() == 1) out.shape.erase(out.shape.rank() - (b.shape.rank() == 1 ? 1 : 2));
  return out;
}

OpCase products(const std::string& label, double terms, std::vector<std::vector<Shape>> shapes) {
  OpCase c;
  c.op = "matmul";
  c.label = label;
  c.operands = {Operand{}, Operand{}};
  c.shapes = std::move(shapes);
  c.terms = terms;
  c.run = [](const std::vector<Tensor>& in) { return matmul(in[0], in[1]); };
  c.naive = [](const std::vector<Values>& in) { return product(in[0], in[1]); };
  return c;
}

OpCase linears(bool bias, std::vector<std::vector<Shape>> shapes) {
  OpCase c;
  c.op = "linear";
  c.label = bias ? "bias" : "no bias";
  c.operands = {Operand{}, Operand{}};
  c.shapes = std::move(shapes);
  if (bias) c.operands.push_back(Operand{});
  c.terms = 70;
  c.run = [bias](const std::vector<Tensor>& in) {
    return linear(in[0], in[1], bias ? in[2] : Tensor());
  };
  c.naive = [bias](const std::vector<Values>& in) {
    Shape shape = in[0].shape;
    int last = shape.rank() - 1;
    shape[last] = in[1].shape[0];
    return filled(shape, [&](const Shape& index) {
      double sum = bias ? in[2](Shape{index[last]}) : 0;
      Shape at = index;
      for (int64_t k = 0; k < in[1].shape[1]; ++k) {
        at[last] = k;
        sum += in[0](at) * in[1](Shape{index[last], k});
      }
      return sum;
    });
  };
  return c;
}

}  // namespace

std::vector<OpCase> matmul_cases() {
  std::vector<std::vector<Shape>> sizes = {
      {{2, 3}, {3, 4}},    {{1, 1}, {1, 1}},  {{2, 0}, {0, 3}},    {{0, 2}, {2, 3}},
      {{17, 33}, {33, 5}}, {{5, 7}, {7, 35}}, {{64, 65}, {65, 63}}};
  for (int64_t n = 1; n <= 35; ++n) sizes.push_back({{3, 5}, {5, n}});
  return {
      products("matrices", 65, sizes),
      products("vectors", 35,
               {{{3}, {3}}, {{3}, {3, 2}}, {{2, 3}, {3}}, {{35}, {2, 35, 3}}, {{2, 3, 35}, {35}}}),
      products("batches", 33,
               {{{2, 2, 3}, {2, 3, 2}},
                {{2, 1, 2, 3}, {3, 3, 1}},
                {{2, 2, 3}, {3, 2}},
                {{2, 3}, {2, 3, 2}},
                {{0, 2, 3}, {0, 3, 2}},
                {{3, 2, 17, 33}, {3, 1, 33, 9}}}),
      linears(true, {{{2, 3}, {2, 3}, {2}},
                     {{3}, {2, 3}, {2}},
                     {{2, 2, 3}, {2, 3}, {2}},
                     {{0, 3}, {2, 3}, {2}},
                     {{33, 70}, {35, 70}, {35}}}),
      linears(false, {{{2, 3}, {4, 3}}, {{3}, {2, 3}}, {{5, 9, 70}, {37, 70}}}),
  };
}

}  // namespace heed::test
