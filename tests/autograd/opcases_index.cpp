// Reading and adding by index, and sorting.
#include <algorithm>

#include <heed/autograd/ops/gather.h>
#include <heed/autograd/ops/index.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

OpCase selected(int axis, int64_t bound, std::vector<std::vector<Shape>> shapes) {
  OpCase c;
  c.op = "index_select";
  c.label = str("axis ", axis);
  c.operands = {Operand{}, indices(bound)};
  c.shapes = std::move(shapes);
  c.terms = 16;
  c.dtypes = {DType::bf16, DType::u8, DType::i64, DType::boolean};
  c.run = [axis](const std::vector<Tensor>& in) { return index_select(in[0], axis, in[1]); };
  c.naive = [axis](const std::vector<Values>& in) {
    int a = axis < 0 ? axis + in[0].shape.rank() : axis;
    Shape shape = in[0].shape;
    shape[a] = in[1].shape[0];
    return filled(shape, [&](Shape index) {
      index[a] = static_cast<int64_t>(in[1](Shape{index[a]}));
      return in[0](index);
    });
  };
  return c;
}

OpCase gathered(int axis, int64_t bound, std::vector<std::vector<Shape>> shapes) {
  OpCase c = selected(axis, bound, std::move(shapes));
  c.op = "gather";
  c.run = [axis](const std::vector<Tensor>& in) { return gather(in[0], axis, in[1]); };
  c.naive = [axis](const std::vector<Values>& in) {
    return filled(in[1].shape, [&](Shape index) {
      index[axis] = static_cast<int64_t>(in[1](index));
      return in[0](index);
    });
  };
  return c;
}

OpCase scattered(int axis, int64_t bound, std::vector<std::vector<Shape>> shapes) {
  OpCase c = selected(axis, bound, std::move(shapes));
  c.op = "scatter_add";
  c.operands.push_back(Operand{});
  c.dtypes = {DType::i32, DType::i64};
  c.run = [axis](const std::vector<Tensor>& in) { return scatter_add(in[0], axis, in[1], in[2]); };
  c.naive = [axis](const std::vector<Values>& in) {
    Values out = in[0];
    filled(in[1].shape, [&](const Shape& index) {
      Shape place = index;
      place[axis] = static_cast<int64_t>(in[1](index));
      out(place) += in[2](index);
      return 0.0;
    });
    return out;
  };
  return c;
}

// With a padding row no differences can be taken: forward reads it, backward leaves it alone.
OpCase embedded() {
  OpCase c;
  c.op = "embedding";
  c.operands = {Operand{}, indices(5)};
  c.shapes = {{{5, 3}, {4}}, {{5, 2}, {2, 3}},   {{5, 3}, {}},
              {{5, 3}, {0}}, {{5, 37}, {3, 40}}, {{5, 1}, {300}}};
  c.terms = 60;
  c.run = [](const std::vector<Tensor>& in) { return embedding(in[0], in[1]); };
  c.naive = [](const std::vector<Values>& in) {
    Shape shape = in[1].shape;
    shape.push_back(in[0].shape[1]);
    return filled(shape, [&](Shape index) {
      int64_t column = index[index.rank() - 1];
      index.erase(index.rank() - 1);
      return in[0](Shape{static_cast<int64_t>(in[1](index)), column});
    });
  };
  return c;
}

// Places in sorted order along `axis`, the first k of them.
Values order_of(const Values& x, int axis, int64_t k, bool descending, bool want_values) {
  int a = axis < 0 ? axis + x.shape.rank() : axis;
  Shape shape = x.shape;
  shape[a] = k;
  return filled(shape, [&](Shape index) {
    std::vector<std::pair<double, int64_t>> items;
    int64_t place = index[a];
    for (int64_t i = 0; i < x.shape[a]; ++i) {
      index[a] = i;
      items.emplace_back(descending ? -x(index) : x(index), i);
    }
    std::sort(items.begin(), items.end());
    index[a] = items[static_cast<size_t>(place)].second;
    return want_values ? x(index) : static_cast<double>(index[a]);
  });
}

OpCase sorted(const std::string& op, int axis, int64_t k, bool descending, bool values) {
  OpCase c;
  c.op = op;
  c.label = str("axis ", axis, descending ? " descending" : "", values ? "" : " indices");
  c.operands = {values ? distinct_values() : without_gradient({})};
  c.shapes = {{{4, 5}}, {{7, 4}}, {{4, 4, 2}}, {{60, 9}}};
  c.dtypes = {DType::u8, DType::i32, DType::i64, DType::f32};
  c.run = [=](const std::vector<Tensor>& in) {
    Selected s = op == "topk" ? topk(in[0], k, axis) : sort(in[0], axis, descending);
    return values ? s.values : s.indices;
  };
  c.naive = [=](const std::vector<Values>& in) {
    int a = axis < 0 ? axis + in[0].shape.rank() : axis;
    return order_of(in[0], axis, op == "topk" ? k : in[0].shape[a], descending, values);
  };
  return c;
}

}  // namespace

std::vector<OpCase> index_cases() {
  std::vector<OpCase> list = {
      selected(0, 3, {{{3, 2}, {4}}, {{3}, {5}}, {{3, 2}, {0}}, {{3, 35}, {40}}}),
      selected(1, 2, {{{3, 2, 2}, {3}}, {{2, 2}, {1}}, {{0, 2}, {3}}, {{5, 2, 33}, {7}}}),
      selected(-1, 4, {{{2, 4}, {6}}, {{4}, {1}}, {{30, 4}, {50}}}),
      gathered(0, 3, {{{3, 2}, {4, 2}}, {{3}, {5}}, {{3, 2}, {0, 2}}, {{3, 33}, {40, 33}}}),
      gathered(1, 4, {{{2, 4, 2}, {2, 1, 2}}, {{3, 4}, {3, 6}}, {{50, 4, 5}, {50, 3, 5}}}),
      scattered(0, 3,
                {{{3, 2}, {4, 2}, {4, 2}},
                 {{3}, {5}, {5}},
                 {{3, 2}, {0, 2}, {0, 2}},
                 {{3, 33}, {40, 33}, {40, 33}}}),
      scattered(1, 4, {{{2, 4}, {2, 3}, {2, 3}}, {{50, 4, 5}, {50, 3, 5}, {50, 3, 5}}}),
      embedded(),
  };
  for (int axis : {0, -1})
    for (bool values : {true, false}) {
      list.push_back(sorted("topk", axis, 2, true, values));
      list.push_back(sorted("sort", axis, 0, true, values));
      list.push_back(sorted("sort", axis, 0, false, values));
    }
  return list;
}

}  // namespace heed::test
