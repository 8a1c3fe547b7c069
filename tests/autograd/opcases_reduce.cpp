// Reductions over every pattern of axes, and the scans.
#include <algorithm>
#include <cmath>

#include <heed/autograd/ops/best_tokens.h>
#include <heed/autograd/ops/reduce.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

// The elements that one output takes in, in row-major order of the reduced axes.
using Fold = std::function<double(const std::vector<double>&)>;

bool contains(const Shape& axes, int axis, int rank) {
  if (axes.rank() == 0) return true;
  for (int64_t a : axes)
    if ((a < 0 ? a + rank : a) == axis) return true;
  return false;
}

Values folded(const Values& in, const Shape& axes, bool keepdim, const Fold& fold) {
  int rank = in.shape.rank();
  Shape kept = in.shape, inner = in.shape, dropped;
  for (int i = 0; i < rank; ++i) {
    bool reduced = contains(axes, i, rank);
    (reduced ? kept : inner)[i] = 1;
    if (!reduced) dropped.push_back(in.shape[i]);
  }
  Values out = filled(kept, [&](const Shape& index) {
    std::vector<double> values;
    filled(inner, [&](const Shape& within) {
      Shape place = index;
      for (int i = 0; i < rank; ++i) place[i] += within[i];
      values.push_back(in(place));
      return 0.0;
    });
    return fold(values);
  });
  if (!keepdim) out.shape = dropped;
  return out;
}

double total(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += x;
  return sum;
}
double mean_of(const std::vector<double>& v) { return total(v) / static_cast<double>(v.size()); }
double spread(const std::vector<double>& v, double correction) {
  double m = mean_of(v), sum = 0;
  for (double x : v) sum += (x - m) * (x - m);
  return sum / (static_cast<double>(v.size()) - correction);
}
double place_of_best(const std::vector<double>& v, double direction) {
  size_t best = 0;
  for (size_t i = 1; i < v.size(); ++i)
    if (direction * v[i] > direction * v[best]) best = i;
  return static_cast<double>(best);
}

using Reduce = Tensor (*)(const Tensor&, const Shape&, bool);

OpCase over_axes(const std::string& op, Reduce f, const Fold& fold, const Shape& axes, bool keepdim,
                 std::vector<std::vector<Shape>> shapes, double terms) {
  OpCase c;
  c.op = op;
  c.label = str("axes ", axes, keepdim ? " kept" : "");
  c.operands = {Operand{}};
  c.shapes = std::move(shapes);
  c.terms = terms;
  c.run = [f, axes, keepdim](const std::vector<Tensor>& in) { return f(in[0], axes, keepdim); };
  c.naive = [axes, keepdim, fold](const std::vector<Values>& in) {
    return folded(in[0], axes, keepdim, fold);
  };
  return c;
}

// Every pattern that the kernel tells apart, with lengths around its blocks.
void add_patterns(std::vector<OpCase>& list, const std::string& op, Reduce f, const Fold& fold) {
  std::vector<std::vector<Shape>> rows = {{{2, 5}}, {{3, 1}}, {{3, 300}}},
                                  columns = {{{5, 2}}, {{1, 3}}, {{300, 70}}};
  for (int64_t n = 1; n <= 35; ++n) rows.push_back({{3, n}}), columns.push_back({{n, 3}});
  for (int64_t n = 1; n <= 35; ++n) columns.push_back({{5, n}});
  list.push_back(over_axes(op, f, fold, {1}, false, rows, 300));
  list.push_back(over_axes(op, f, fold, {0}, true, columns, 300));
  list.push_back(over_axes(op, f, fold, {}, false, {{{2, 3, 2}}, {{}}, {{7}}}, 12));
  list.push_back(over_axes(op, f, fold, {0, -1}, false, {{{2, 3, 2}}, {{5, 1, 7}}}, 35));
  list.push_back(over_axes(op, f, fold, {-2}, false, {{{2, 3, 2}}, {{2, 40, 33}}}, 40));
  list.push_back(over_axes(op, f, fold, {0, 2}, true, {{{2, 2, 2, 3}}, {{3, 40, 5, 33}}}, 100));
}

// Long enough to be cut into parts, for threads and for accuracy; and empty axes.
void add_sizes(std::vector<OpCase>& list, const std::string& op, Reduce f, const Fold& fold) {
  list.push_back(
      over_axes(op, f, fold, {}, false, {{{7}}, {{0}}, {{70000}}, {{3, 1, 17000}}}, 70000));
  list.push_back(
      over_axes(op, f, fold, {0, -1}, false, {{{2, 3, 2}}, {{0, 2, 3}}, {{12, 3, 1000}}}, 12000));
  list.push_back(over_axes(op, f, fold, {-2}, false, {{{2, 3, 2}}, {{1, 20000, 2}}}, 20000));
  list.push_back(
      over_axes(op, f, fold, {0}, false, {{{2, 3}}, {{0, 3}}, {{20000, 3}}, {{60, 700}}}, 20000));
}

using Along = Tensor (*)(const Tensor&, int, bool);

OpCase along(const std::string& op, Along f, const Fold& fold, int axis, bool keepdim,
             Operand operand, std::vector<DType> dtypes) {
  OpCase c = over_axes(
      op, nullptr, fold, {axis}, keepdim,
      {{{2, 5}}, {{3, 2, 4}}, {{1, 7}}, {{5, 1}}, {{35, 2}}, {{2, 70}}, {{7, 33}}, {{3, 64}}}, 70);
  if (axis == 0) c.shapes.push_back({{3, 0}});
  c.operands = {operand};
  c.dtypes = std::move(dtypes);
  c.run = [f, axis, keepdim](const std::vector<Tensor>& in) { return f(in[0], axis, keepdim); };
  return c;
}

double log_of_exponentials(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += std::exp(x);
  return std::log(sum);
}

OpCase running(int axis) {
  OpCase c;
  c.op = "cumsum";
  c.label = str("axis ", axis);
  c.operands = {Operand{}};
  c.shapes = {{{2, 5}}, {{3, 2, 2}}, {{0, 2}},       {{2, 0}},     {{40, 37}},
              {{1, 1}}, {{9, 3, 5}}, {{2, 3, 1030}}, {{3, 65, 3}}, {{130, 70}}};
  c.terms = 130;
  c.dtypes = {DType::i32, DType::i64};
  c.run = [axis](const std::vector<Tensor>& in) { return cumsum(in[0], axis); };
  c.naive = [axis](const std::vector<Values>& in) {
    int a = axis < 0 ? axis + in[0].shape.rank() : axis;
    return filled(in[0].shape, [&](Shape index) {
      double sum = 0;
      for (int64_t last = index[a], i = 0; i <= last; ++i) {
        index[a] = i;
        sum += in[0](index);
      }
      return sum;
    });
  };
  return c;
}

}  // namespace

// The three best of each row; token 2 is forbidden in row 1, all tokens in the last row.
static OpCase best() {
  OpCase c;
  c.op = "best_tokens";
  c.operands = {without_gradient(distinct_values())};
  c.shapes = {{{3, 7}}, {{2, 2}}, {{2, 40}}, {{1, 3}}};
  auto forbidden = [](int64_t rows, int64_t vocabulary) {
    std::vector<std::vector<int64_t>> lists(static_cast<size_t>(rows));
    if (rows > 1) lists[1] = {2};
    for (int64_t v = 0; v < vocabulary; ++v) lists.back().push_back(v);
    std::sort(lists.back().begin(), lists.back().end());
    lists.back().erase(std::unique(lists.back().begin(), lists.back().end()), lists.back().end());
    return lists;
  };
  c.run = [=](const std::vector<Tensor>& in) {
    return best_tokens(in[0], 3, forbidden(in[0].dim(0), in[0].dim(1)));
  };
  c.naive = [=](const std::vector<Values>& in) {
    int64_t rows = in[0].shape[0], vocabulary = in[0].shape[1];
    auto lists = forbidden(rows, vocabulary);
    Values out(Shape{rows, 3, 2});
    for (int64_t r = 0; r < rows; ++r) {
      double total = 0;
      std::vector<std::pair<double, int64_t>> order;
      for (int64_t v = 0; v < vocabulary; ++v) {
        total += std::exp(in[0]({r, v}));
        const auto& list = lists[static_cast<size_t>(r)];
        if (std::find(list.begin(), list.end(), v) == list.end())
          order.emplace_back(-in[0]({r, v}), v);
      }
      std::sort(order.begin(), order.end());
      for (int64_t i = 0; i < 3; ++i) {
        bool there = i < static_cast<int64_t>(order.size());
        out({r, i, 0}) = there ? static_cast<double>(order[static_cast<size_t>(i)].second) : -1;
        double logit = there ? -order[static_cast<size_t>(i)].first : 0;
        out({r, i, 1}) = logit - std::log(total);
      }
    }
    return out;
  };
  c.f64_tolerance = 2e-6;  // computed in f32
  return c;
}

std::vector<OpCase> reduce_cases() {
  std::vector<OpCase> list;
  add_patterns(list, "sum", sum, total);
  add_sizes(list, "sum", sum, total);
  for (OpCase& c : list) c.dtypes = {DType::i32, DType::i64, DType::boolean};
  add_patterns(list, "mean", mean, mean_of);
  for (double correction : {0.0, 1.0}) {
    auto fold = [correction](const std::vector<double>& v) { return spread(v, correction); };
    for (const Shape& axes : {Shape{}, Shape{1}, Shape{0, 2}}) {
      OpCase c =
          over_axes("var", nullptr, fold, axes, correction == 1, {{{2, 3, 2}}, {{5, 4, 37}}}, 740);
      c.run = [axes, correction](const std::vector<Tensor>& in) {
        return var(in[0], axes, correction == 1, correction);
      };
      list.push_back(c);
    }
  }
  const std::vector<DType> whole = {DType::u8, DType::i32, DType::i64, DType::f32};
  auto largest = [](const std::vector<double>& v) {
    return v[static_cast<size_t>(place_of_best(v, 1))];
  };
  auto smallest = [](const std::vector<double>& v) {
    return v[static_cast<size_t>(place_of_best(v, -1))];
  };
  for (int axis : {0, 1, -1}) {
    bool keep = axis == 1;
    list.push_back(along("max", max, largest, axis, keep, distinct_values(), whole));
    list.push_back(along("min", min, smallest, axis, keep, distinct_values(), whole));
    list.push_back(along(
        "argmax", argmax, [](auto& v) { return place_of_best(v, 1); }, axis, keep,
        without_gradient({}), whole));
    list.push_back(along(
        "argmin", argmin, [](auto& v) { return place_of_best(v, -1); }, axis, keep,
        without_gradient({}), whole));
    list.push_back(along("logsumexp", logsumexp, log_of_exponentials, axis, keep, {}, {}));
    list.push_back(running(axis));
  }
  list.push_back(best());
  return list;
}

}  // namespace heed::test
