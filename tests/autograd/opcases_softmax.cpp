// Softmax and log-softmax along each axis, against the formula in double.
#include <cmath>

#include <heed/autograd/ops/softmax.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

Naive along(int axis, double (*element)(double x, double max, double total)) {
  return [axis, element](const std::vector<Values>& in) {
    const Values& x = in[0];
    int at = axis < 0 ? axis + x.shape.rank() : axis;
    return filled(x.shape, [&](Shape index) {
      double own = x(index), max = -INFINITY, total = 0;
      for (index[at] = 0; index[at] < x.shape[at]; ++index[at]) max = std::max(max, x(index));
      for (index[at] = 0; index[at] < x.shape[at]; ++index[at]) total += std::exp(x(index) - max);
      return element(own, max, total);
    });
  };
}

OpCase one(const std::string& op, int axis, std::vector<std::vector<Shape>> shapes,
           Tensor (*f)(const Tensor&, int), Tensor (*reference)(const Tensor&, int),
           double (*element)(double, double, double), Operand operand) {
  OpCase c;
  c.op = op;
  c.label = str("axis ", axis);
  c.operands = {operand};
  c.shapes = std::move(shapes);
  c.run = [f, axis](const std::vector<Tensor>& in) { return f(in[0], axis); };
  c.reference = [reference, axis](const std::vector<Tensor>& in) { return reference(in[0], axis); };
  c.naive = along(axis, element);
  c.terms = 8;
  return c;
}

}  // namespace

std::vector<OpCase> softmax_cases() {
  auto softmax_element = [](double x, double max, double total) {
    return std::exp(x - max) / total;
  };
  auto log_element = [](double x, double max, double total) { return x - max - std::log(total); };
  std::vector<std::vector<Shape>> last = {{{2, 5}}, {{1, 1}},  {{0, 4}},   {{2, 3, 4}},
                                          {{7}},    {{3, 17}}, {{5, 1100}}};
  for (const auto& s : vector_sizes(1)) last.push_back(s);
  std::vector<std::vector<Shape>> middle = {{{2, 4, 5}}, {{2, 3, 1}},   {{1, 1, 3}},
                                            {{2, 3, 0}}, {{3, 70, 19}}, {{2, 5, 33}}};
  std::vector<std::vector<Shape>> first = {{{4, 3}}, {{6}}, {{5, 2, 3}}, {{130, 16}}};
  std::vector<OpCase> cases;
  for (Operand operand :
       {in_range(-2, 2), in_range(80, 100)}) {  // far from 0: nothing may overflow
    for (const auto& [axis, shapes] :
         {std::pair{-1, last}, std::pair{1, middle}, std::pair{0, first}}) {
      cases.push_back(
          one("softmax", axis, shapes, softmax, softmax_reference, softmax_element, operand));
      cases.push_back(one("log_softmax", axis, shapes, log_softmax, log_softmax_reference,
                          log_element, operand));
    }
  }
  return cases;
}

}  // namespace heed::test
