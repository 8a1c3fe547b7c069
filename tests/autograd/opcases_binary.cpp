// Elementwise functions of two and three tensors, which broadcast, and sum_to, broadcasting's
// transpose.
#include <cmath>

#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/views.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

std::vector<std::vector<Shape>> shapes_of_two() {
  std::vector<std::vector<Shape>> list = {
      {{}, {}},        {{2, 3}, {2, 3}}, {{2, 3}, {3}},       {{2, 1}, {1, 4}},
      {{3, 1, 2}, {}}, {{0, 3}, {3}},    {{2, 3, 2}, {3, 1}}, {{5}, {1}}};
  for (auto& s : vector_sizes(2)) list.push_back(s);
  list.push_back({{67, 33}, {33}});
  list.push_back({{9, 35}, {9, 1}});
  return list;
}

using Function = Tensor (*)(const Tensor&, const Tensor&);

OpCase binary(const std::string& op, Function f, double (*naive)(double, double), Operand a = {},
              Operand b = {}) {
  OpCase c;
  c.op = op;
  c.operands = {a, b};
  c.shapes = shapes_of_two();
  c.run = [f](const std::vector<Tensor>& in) { return f(in[0], in[1]); };
  c.naive = pointwise([naive](const std::vector<double>& x) { return naive(x[0], x[1]); });
  return c;
}

OpCase whole(OpCase c) {
  c.dtypes = {DType::i32, DType::i64};
  return c;
}

// Whole numbers, so that equal operands occur.
OpCase comparison(const std::string& op, Function f, double (*naive)(double, double)) {
  OpCase c = binary(op, f, naive, without_gradient({}), without_gradient({}));
  c.dtypes = {DType::f32, DType::f64, DType::u8, DType::i32, DType::i64};
  return c;
}

OpCase logical(const std::string& op, Function f, double (*naive)(double, double)) {
  return binary(op, f, naive, booleans(), booleans());
}

OpCase against_number(const std::string& op, Tensor (*f)(const Tensor&, double),
                      double (*naive)(double, double)) {
  OpCase c = binary(op, nullptr, nullptr, without_gradient({}));
  c.label = "number";
  c.operands.pop_back();
  c.shapes = {{{}}, {{3, 5}}, {{0}}, {{37}}};
  c.run = [f](const std::vector<Tensor>& in) { return f(in[0], 1.0); };
  c.naive = pointwise([naive](const std::vector<double>& x) { return naive(x[0], 1.0); });
  c.dtypes = {DType::f32, DType::i32, DType::i64};
  return c;
}

OpCase where_case(const std::string& label, Operand a, Operand b,
                  std::vector<std::vector<Shape>> shapes) {
  OpCase c;
  c.op = "where";
  c.label = label;
  c.operands = {booleans(), a, b};
  c.shapes = std::move(shapes);
  c.run = [](const std::vector<Tensor>& in) { return where(in[0], in[1], in[2]); };
  c.naive = pointwise([](const std::vector<double>& x) { return x[0] != 0 ? x[1] : x[2]; });
  return c;
}

OpCase where_number(bool first) {
  OpCase c;
  c.op = "where";
  c.label = first ? "number first" : "number second";
  c.operands = {booleans(), Operand{}};
  c.shapes = {{{2, 3}, {2, 3}}, {{3}, {2, 3}}, {{4, 1}, {3}}, {{}, {}}, {{0}, {0}}, {{37}, {37}}};
  c.run = [first](const std::vector<Tensor>& in) {
    return first ? where(in[0], 0.5, in[1]) : where(in[0], in[1], 0.5);
  };
  c.naive = pointwise(
      [first](const std::vector<double>& x) { return (x[0] != 0) == first ? 0.5 : x[1]; });
  return c;
}

OpCase sum_to_case(Shape to, std::vector<std::vector<Shape>> shapes, double terms) {
  OpCase c;
  c.op = "sum_to";
  c.label = to_string(to);
  c.operands = {Operand{}};
  c.shapes = std::move(shapes);
  c.terms = terms;
  c.run = [to](const std::vector<Tensor>& in) { return sum_to(in[0], to); };
  c.naive = [to](const std::vector<Values>& in) {
    Values out(to);
    filled(in[0].shape, [&](const Shape& index) {
      Shape place = to;
      for (int i = 0; i < to.rank(); ++i)
        place[i] = to[i] == 1 ? 0 : index[in[0].shape.rank() - to.rank() + i];
      out(place) += in[0](index);
      return 0.0;
    });
    return out;
  };
  return c;
}

}  // namespace

std::vector<OpCase> binary_cases() {
  return {
      whole(binary("add", add, [](double a, double b) { return a + b; })),
      whole(binary("sub", sub, [](double a, double b) { return a - b; })),
      whole(binary("mul", mul, [](double a, double b) { return a * b; })),
      binary(
          "div", div, [](double a, double b) { return a / b; }, {}, in_range(0.5, 3)),
      binary(
          "pow", pow, [](double a, double b) { return std::pow(a, b); }, in_range(0.3, 3)),
      binary("minimum", minimum, [](double a, double b) { return std::min(a, b); }),
      binary("maximum", maximum, [](double a, double b) { return std::max(a, b); }),
      comparison("equal", equal, [](double a, double b) { return double(a == b); }),
      comparison("not_equal", not_equal, [](double a, double b) { return double(a != b); }),
      comparison("less", less, [](double a, double b) { return double(a < b); }),
      comparison("less_equal", less_equal, [](double a, double b) { return double(a <= b); }),
      comparison("greater", greater, [](double a, double b) { return double(a > b); }),
      comparison("greater_equal", greater_equal, [](double a, double b) { return double(a >= b); }),
      against_number("equal", equal, [](double a, double b) { return double(a == b); }),
      against_number("less", less, [](double a, double b) { return double(a < b); }),
      against_number("greater", greater, [](double a, double b) { return double(a > b); }),
      logical("logical_and", logical_and,
              [](double a, double b) { return double(a != 0 && b != 0); }),
      logical("logical_or", logical_or,
              [](double a, double b) { return double(a != 0 || b != 0); }),
      [] {
        OpCase c = logical("logical_not", nullptr, nullptr);
        c.operands.pop_back();
        c.shapes = {{{}}, {{3, 5}}, {{0}}, {{37}}};
        c.run = [](const std::vector<Tensor>& in) { return logical_not(in[0]); };
        c.naive = pointwise([](const std::vector<double>& x) { return double(x[0] == 0); });
        return c;
      }(),
      where_case("", {}, {},
                 {{{2, 3}, {2, 3}, {2, 3}},
                  {{3}, {2, 3}, {2, 1}},
                  {{2, 3}, {}, {3}},
                  {{}, {}, {}},
                  {{0, 2}, {0, 2}, {2}},
                  {{37}, {37}, {37}},
                  {{5, 33}, {33}, {5, 1}}}),
      where_number(true),
      where_number(false),
      sum_to_case({3}, {{{3}}, {{2, 3}}, {{4, 2, 3}}, {{0, 3}}, {{70, 3}}}, 70),
      sum_to_case({2, 1}, {{{2, 3}}, {{4, 2, 3}}, {{2, 1}}, {{3, 2, 37}}}, 111),
      sum_to_case({}, {{{}}, {{2, 3}}, {{0}}, {{1000}}}, 1000),
  };
}

}  // namespace heed::test
