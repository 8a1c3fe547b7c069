// Shapes and views: every element of the result stands at a known place of an operand.
#include <cmath>

#include <heed/autograd/ops/broadcast.h>
#include <heed/autograd/ops/views.h>
#include <heed/tests/support/opcase.h>
#include <heed/tests/support/test_device.h>

namespace heed::test {

namespace {

const std::vector<DType> kAllTypes = {DType::f32, DType::f64, DType::bf16, DType::f16,
                                      DType::u8,  DType::i32, DType::i64,  DType::boolean};

// `out` of the operand's shape; `from`: the place in the operand of the result's element.
OpCase view(const std::string& op, const std::string& label, std::vector<std::vector<Shape>> shapes,
            Run run, std::function<Shape(const Shape&)> out,
            std::function<Shape(const Shape&, const Shape&)> from) {
  OpCase c;
  c.op = op;
  c.label = label;
  c.operands = {Operand{}};
  c.shapes = std::move(shapes);
  c.run = std::move(run);
  c.naive = [out, from](const std::vector<Values>& in) {
    return filled(out(in[0].shape),
                  [&](const Shape& index) { return in[0](from(index, in[0].shape)); });
  };
  c.dtypes = kAllTypes;
  return c;
}

Shape unravel(int64_t element, const Shape& shape) {
  Shape index = shape;
  for (int i = shape.rank() - 1; i >= 0; --i) {
    index[i] = element % shape[i];
    element /= shape[i];
  }
  return index;
}

int64_t ravel(const Shape& index, const Shape& shape) {
  int64_t at = 0;
  for (int i = 0; i < shape.rank(); ++i) at = at * shape[i] + index[i];
  return at;
}

OpCase reshaped(const Shape& from, const Shape& to, const Shape& result) {
  return view(
      "reshape", to_string(to), {{from}}, [to](auto& in) { return reshape(in[0], to); },
      [result](const Shape&) { return result; },
      [result](const Shape& index, const Shape& shape) {
        return unravel(ravel(index, result), shape);
      });
}

Shape swapped(Shape s, int a, int b) {
  std::swap(s[a], s[b]);
  return s;
}
Shape without(Shape s, int axis) {
  s.erase(axis);
  return s;
}
Shape with_one(Shape s, int axis, int64_t size) {
  s.insert(axis, size);
  return s;
}
Shape resized(Shape s, int axis, int64_t size) {
  s[axis] = size;
  return s;
}
Shape same(const Shape& s) { return s; }
Shape same_place(const Shape& index, const Shape&) { return index; }

OpCase several(const std::string& op, const std::string& label, std::vector<Shape> shapes, Run run,
               Naive naive) {
  OpCase c;
  c.op = op;
  c.label = label;
  c.operands = std::vector<Operand>(shapes.size());
  c.shapes = {std::move(shapes)};
  c.run = std::move(run);
  c.naive = std::move(naive);
  c.dtypes = kAllTypes;
  return c;
}

// Pieces one after the other along `axis`.
Values joined(const std::vector<Values>& in, int axis) {
  Shape shape = in[0].shape;
  for (size_t i = 1; i < in.size(); ++i) shape[axis] += in[i].shape[axis];
  return filled(shape, [&](Shape index) {
    size_t part = 0;
    while (index[axis] >= in[part].shape[axis]) index[axis] -= in[part++].shape[axis];
    return in[part](index);
  });
}

OpCase concatenated(std::vector<Shape> shapes, int axis) {
  return several(
      "concat", str("axis ", axis), std::move(shapes),
      [axis](auto& in) { return concat(in, axis); },
      [axis](auto& in) { return joined(in, axis < 0 ? axis + in[0].shape.rank() : axis); });
}

OpCase stacked(std::vector<Shape> shapes, int axis) {
  return several(
      "stack", str("axis ", axis), std::move(shapes), [axis](auto& in) { return stack(in, axis); },
      [axis](const std::vector<Values>& in) {
        int rank = in[0].shape.rank(), at = axis < 0 ? axis + rank + 1 : axis;
        return filled(with_one(in[0].shape, at, static_cast<int64_t>(in.size())),
                      [&](const Shape& index) {
                        return in[static_cast<size_t>(index[at])](without(index, at));
                      });
      });
}

OpCase padded(double value) {
  OpCase c = view(
      "pad", str("with ", value), {{{2, 3}}, {{0, 3}}, {{2, 37}}},
      [value](auto& in) { return pad(in[0], 1, 2, 1, value); }, same, same_place);
  c.naive = [value](const std::vector<Values>& in) {
    int64_t size = in[0].shape[1];
    return filled(resized(in[0].shape, 1, size + 3), [&](const Shape& index) {
      bool inside = index[1] >= 2 && index[1] < size + 2;
      return inside ? in[0](Shape{index[0], index[1] - 2}) : value;
    });
  };
  if (value != 1 && value != 0) c.dtypes = {};
  return c;
}

}  // namespace

std::vector<OpCase> view_cases() {
  std::vector<OpCase> list = {
      reshaped({2, 6}, {3, 4}, {3, 4}),
      reshaped({2, 3, 2}, {-1, 2}, {6, 2}),
      reshaped({6}, {2, -1, 1}, {2, 3, 1}),
      reshaped({1}, {}, {}),
      reshaped({0, 3}, {3, 0, 2}, {3, 0, 2}),
      view(
          "permute", "", {{{2, 3, 4}}, {{1, 5, 2}}, {{0, 2, 3}}, {{5, 17, 33}}},
          [](auto& in) {
            return permute(in[0], {1, -1, 0});
          },
          [](const Shape& s) {
            return Shape{s[1], s[2], s[0]};
          },
          [](const Shape& i, const Shape&) {
            return Shape{i[2], i[0], i[1]};
          }),
      view(
          "transpose", "", {{{2, 3, 4}}, {{2, 3}}, {{33, 35}}},
          [](auto& in) { return transpose(in[0], -1, -2); },
          [](const Shape& s) { return swapped(s, s.rank() - 1, s.rank() - 2); },
          [](const Shape& i, const Shape&) { return swapped(i, i.rank() - 1, i.rank() - 2); }),
      view(
          "broadcast_to", "", {{{3, 1}}, {{1}}, {{}}, {{1, 3, 1}}},
          [](auto& in) {
            return broadcast_to(in[0], {2, 3, 5});
          },
          [](const Shape&) {
            return Shape{2, 3, 5};
          },
          [](const Shape& i, const Shape& s) {
            Shape place = s;
            for (int a = 0; a < s.rank(); ++a) place[a] = s[a] == 1 ? 0 : i[3 - s.rank() + a];
            return place;
          }),
      view(
          "squeeze", "", {{{2, 1, 3}}, {{0, 1}}, {{2, 1}}},
          [](auto& in) { return squeeze(in[0], 1); }, [](const Shape& s) { return without(s, 1); },
          [](const Shape& i, const Shape&) { return with_one(i, 1, 0); }),
      view(
          "unsqueeze", "", {{{2, 3}}, {{}}, {{0}}}, [](auto& in) { return unsqueeze(in[0], -1); },
          [](const Shape& s) { return with_one(s, s.rank(), 1); },
          [](const Shape& i, const Shape&) { return without(i, i.rank() - 1); }),
      view(
          "slice", "step 2", {{{2, 6}}, {{3, 5}}, {{0, 7}}, {{5, 40}}},
          [](auto& in) { return slice(in[0], 1, 1, 100, 2); },
          [](const Shape& s) { return resized(s, 1, s[1] / 2); },
          [](const Shape& i, const Shape&) {
            return Shape{i[0], 1 + 2 * i[1]};
          }),
      view(
          "slice", "from the end", {{{5, 3}}, {{4}}},
          [](auto& in) { return slice(in[0], 0, -3, -1); },
          [](const Shape& s) { return resized(s, 0, 2); },
          [](const Shape& i, const Shape& s) { return resized(i, 0, s[0] - 3 + i[0]); }),
      view(
          "slice", "empty", {{{5, 3}}}, [](auto& in) { return slice(in[0], 0, 4, 2); },
          [](const Shape& s) { return resized(s, 0, 0); }, same_place),
      view(
          "select", "", {{{3, 4}}, {{2, 2, 3}}, {{2, 5, 33}}},
          [](auto& in) { return select(in[0], 1, -1); },
          [](const Shape& s) { return without(s, 1); },
          [](const Shape& i, const Shape& s) { return with_one(i, 1, s[1] - 1); }),
      view(
          "flip", "", {{{2, 5}}, {{3, 1}}, {{3, 0}}, {{2, 37}}},
          [](auto& in) { return flip(in[0], 1); }, same,
          [](const Shape& i, const Shape& s) { return resized(i, 1, s[1] - 1 - i[1]); }),
      view(
          "contiguous", "", {{{2, 3, 4}}, {{}}, {{0, 2}}},
          [](auto& in) { return contiguous(transpose(in[0], 0, -1)); },
          [](const Shape& s) { return swapped(s, 0, s.rank() - 1); },
          [](const Shape& i, const Shape&) { return swapped(i, 0, i.rank() - 1); }),
      view(
          "clone", "", {{{2, 3, 4}}, {{}}, {{0, 2}}, {{37}}}, [](auto& in) { return clone(in[0]); },
          same, same_place),
      view(  // there and back, so that the result is where the operand is
          "to_device", "", {{{2, 3, 4}}, {{}}, {{0, 2}}, {{37}}},
          [](auto& in) {
            Device home = in[0].device(), other = home == kCpu ? test_device() : kCpu;
            return to_device(to_device(in[0], other), home);
          },
          same, same_place),
      padded(0),
      padded(1),
      padded(-2.5),
      concatenated({{2, 3}, {2, 1}, {2, 4}}, 1),
      concatenated({{2, 3}, {0, 3}, {1, 3}}, 0),
      concatenated({{1, 2, 2}, {1, 2, 3}}, -1),
      stacked({{2, 3}, {2, 3}, {2, 3}}, 1),
      stacked({{}, {}}, 0),
      stacked({{4}, {4}}, -1),
  };
  // contiguous swaps the ends of any rank but 0.
  for (OpCase& c : list)
    if (c.op == "contiguous") c.shapes.erase(c.shapes.begin() + 1);
  OpCase split_sizes = view(
      "split", "sizes", {{{2, 7}}, {{3, 7}}},
      [](auto& in) {
        return concat({split(in[0], 1, std::vector<int64_t>{4, 0, 3})[2],
                       split(in[0], 1, std::vector<int64_t>{4, 3})[0]},
                      1);
      },
      same,
      [](const Shape& i, const Shape&) {
        return Shape{i[0], (i[1] + 4) % 7};
      });
  OpCase split_size = view(
      "split", "size", {{{2, 7}}, {{1, 7}}},
      [](auto& in) { return split(in[0], 1, int64_t{3})[2]; },
      [](const Shape& s) { return resized(s, 1, 1); },
      [](const Shape& i, const Shape&) {
        return Shape{i[0], i[1] + 6};
      });
  list.push_back(split_sizes);
  list.push_back(split_size);
  OpCase cast_there = view(
      "cast", "f64 and back", {{{2, 3}}, {{}}, {{0}}, {{37}}},
      [](auto& in) { return cast(cast(in[0], DType::f64), in[0].dtype()); }, same, same_place);
  OpCase cast_whole = view(
      "cast", "to i64", {{{2, 3}}, {{}}, {{37}}}, [](auto& in) { return cast(in[0], DType::i64); },
      same, same_place);
  cast_whole.operands = {without_gradient(Operand{})};
  cast_whole.naive = pointwise([](const std::vector<double>& x) { return std::trunc(x[0]); });
  list.push_back(cast_there);
  list.push_back(cast_whole);
  return list;
}

}  // namespace heed::test
