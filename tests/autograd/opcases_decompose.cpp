#include <heed/autograd/ops/decompose.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/low_rank.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

Tensor transposed(const Tensor& x) { return transpose(x, -1, -2); }

// A factorization is known by what its factors make: the operand again. (tests/autograd/
// low_rank_test.cpp looks at the factors themselves.)
OpCase factors(const std::string& op, Run run) {
  OpCase c;
  c.op = op;
  c.operands = {without_gradient(Operand{})};
  c.shapes = {{{1, 1}}, {{4, 4}}, {{17, 5}}, {{5, 17}}, {{2, 3, 6, 4}}, {{2, 0, 4}}};
  c.terms = 17;
  c.run = std::move(run);
  c.naive = [](const std::vector<Values>& in) { return in[0]; };
  return c;
}

// At full rank the product of the factors is q k^T.
OpCase whole_rank() {
  OpCase c;
  c.op = "low_rank_logits";
  c.label = "full rank";
  c.operands = {Operand{}, Operand{}};
  c.shapes = {{{4, 3}, {5, 3}}, {{2, 2, 5, 2}, {2, 2, 4, 2}}, {{19, 8}, {17, 8}}};
  c.terms = 19;
  c.run = [](const std::vector<Tensor>& in) {
    LogitFactors f = low_rank_logits(in[0], in[1], {.rank = in[0].dim(-1)});
    return matmul(f.q, transposed(f.k));
  };
  c.naive = [](const std::vector<Values>& in) {
    Shape shape = in[0].shape;
    int r = shape.rank();
    int64_t d = shape[r - 1];
    shape[r - 1] = in[1].shape[r - 2];
    return filled(shape, [&](const Shape& index) {
      Shape iq = index, ik = index;
      ik[r - 2] = index[r - 1];
      double sum = 0;
      for (int64_t c = 0; c < d; ++c) {
        iq[r - 1] = ik[r - 1] = c;
        sum += in[0](iq) * in[1](ik);
      }
      return sum;
    });
  };
  return c;
}

}  // namespace

std::vector<OpCase> decompose_cases() {
  return {factors("qr",
                  [](const std::vector<Tensor>& in) {
                    QR f = qr(in[0]);
                    return matmul(f.q, f.r);
                  }),
          factors("svd",
                  [](const std::vector<Tensor>& in) {
                    SVD f = svd(in[0]);
                    return matmul(f.u * f.s, f.vt);
                  }),
          whole_rank()};
}

}  // namespace heed::test
