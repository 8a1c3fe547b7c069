// Convolutions of one, two and three axes, with each option.
#include <heed/autograd/ops/conv.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

struct Setting {
  std::string label;
  ConvOptions options;
  bool bias = true;
};

int64_t of_axis(const Shape& sizes, int axis) { return sizes[sizes.rank() == 1 ? 0 : axis]; }

// By definition: every output element sums over channels and taps.
Naive naive(int axes, const ConvOptions& o) {
  return [=](const std::vector<Values>& in) {
    const Values &x = in[0], &w = in[1];
    Shape shape{x.shape[0], w.shape[0]};
    for (int i = 0; i < axes; ++i) {
      int64_t reach = of_axis(o.dilation, i) * (w.shape[2 + i] - 1) + 1;
      shape.push_back((x.shape[2 + i] + 2 * of_axis(o.padding, i) - reach) / of_axis(o.stride, i) +
                      1);
    }
    Shape taps(w.shape.begin() + 2, axes);
    return filled(shape, [&](const Shape& at) {
      double total = in.size() > 2 ? in[2]({at[1]}) : 0;
      int64_t inputs = w.shape[1], group = at[1] / (w.shape[0] / o.groups);
      for (int64_t c = 0; c < inputs; ++c)
        filled(taps, [&](const Shape& k) {
          Shape source{at[0], group * inputs + c}, tap{at[1], c};
          bool inside = true;
          for (int i = 0; i < axes; ++i) {
            int64_t p = at[2 + i] * of_axis(o.stride, i) + k[i] * of_axis(o.dilation, i) -
                        of_axis(o.padding, i);
            inside = inside && p >= 0 && p < x.shape[2 + i];
            source.push_back(p);
            tap.push_back(k[i]);
          }
          if (inside) total += w(tap) * x(source);
          return 0.0;
        });
      return total;
    });
  };
}

template <class F>
OpCase one(const std::string& op, int axes, F function, const Setting& s,
           std::vector<std::vector<Shape>> shapes) {
  OpCase c;
  c.op = op;
  c.label = s.label;
  c.operands = std::vector<Operand>(s.bias ? 3 : 2);
  for (const std::vector<Shape>& list : shapes) {
    c.shapes.push_back(list);
    if (s.bias) c.shapes.back().push_back({list[1][0]});
  }
  ConvOptions o = s.options;
  bool bias = s.bias;
  c.run = [=](const std::vector<Tensor>& in) {
    return function(in[0], in[1], bias ? in[2] : Tensor(), o);
  };
  c.naive = naive(axes, o);
  c.terms = 64;
  return c;
}

}  // namespace

std::vector<OpCase> conv_cases() {
  std::vector<OpCase> list;
  auto add1 = [&](const Setting& s, std::vector<std::vector<Shape>> shapes) {
    list.push_back(one("conv1d", 1, conv1d, s, std::move(shapes)));
  };
  auto add2 = [&](const Setting& s, std::vector<std::vector<Shape>> shapes) {
    list.push_back(one("conv2d", 2, conv2d, s, std::move(shapes)));
  };
  auto add3 = [&](const Setting& s, std::vector<std::vector<Shape>> shapes) {
    list.push_back(one("conv3d", 3, conv3d, s, std::move(shapes)));
  };
  add1({"", {}}, {{{2, 2, 5}, {3, 2, 3}}, {{1, 3, 40}, {9, 3, 5}}, {{0, 2, 5}, {3, 2, 3}}});
  add1({"stride, padding, dilation", {.stride = {3}, .padding = {4}, .dilation = {2}}},
       {{{1, 2, 6}, {2, 2, 4}}, {{1, 2, 67}, {5, 2, 3}}});
  // Rows so long that they are cut, in vectors of places and of channels.
  std::vector<std::vector<Shape>> longs = {
      {{1, 1, 6}, {2, 1, 3}}, {{1, 3, 3001}, {2, 3, 3}}, {{2, 17, 1030}, {17, 17, 3}}};
  add1({"long", {.padding = {1}}}, longs);
  add1({"long, stride, dilation", {.stride = {2}, .padding = {3}, .dilation = {3}}, false}, longs);

  std::vector<std::vector<Shape>> small = {{{2, 2, 4, 3}, {3, 2, 3, 2}},
                                           {{1, 1, 3, 3}, {1, 1, 3, 3}}};
  add2({"", {}}, small);
  add2({"without bias", {}, false}, small);
  // Widths around those of vectors, and every remainder of a tile of channels.
  std::vector<std::vector<Shape>> sizes = {{{1, 1, 3, 4}, {2, 1, 3, 3}}};
  for (int64_t n : {5, 7, 8, 9, 14, 15, 16, 17, 23, 28, 32, 33})
    sizes.push_back({{3, 2, n / 2 + 2, n}, {n, 2, 3, 3}});
  add2({"padding", {.padding = {1}}}, sizes);
  add2({"one tap", {}}, {{{2, 2, 3, 2}, {2, 2, 1, 1}}, {{2, 5, 7, 9}, {12, 5, 1, 1}}});
  add2({"stride", {.stride = {2}, .padding = {1}}},
       {{{1, 1, 5, 4}, {2, 1, 3, 3}}, {{2, 3, 28, 29}, {8, 3, 3, 3}}});
  // Rows of every second element around the widths of vectors.
  std::vector<std::vector<Shape>> halves = {{{1, 1, 3, 4}, {2, 1, 1, 2}}};
  for (int64_t n : {15, 16, 17, 18, 31, 32, 33, 34, 63, 64, 65, 66})
    halves.push_back({{2, 2, 4, n}, {3, 2, 1, 2}});
  add2({"stride without padding", {.stride = {2}}}, halves);
  // Channels around the widths of vectors; gradients that go to every second element of such rows.
  std::vector<std::vector<Shape>> channels = {{{1, 4, 1, 5}, {4, 4, 1, 1}}};
  for (int64_t n : {7, 8, 9, 15, 16, 17, 24, 33})
    channels.push_back({{2, n, 3, 2 * n + 3}, {40 - n, n, 3, 3}});
  add2({"channels", {.padding = {1}}}, channels);
  add2({"stride and channels", {.stride = {2}, .padding = {1}}}, channels);
  add2({"stride of rows", {.stride = {2, 1}}}, channels);
  add2({"stride across one column", {.stride = {1, 2}, .padding = {0, 1}}},
       {{{1, 4, 3, 1}, {4, 4, 1, 1}},
        {{2, 17, 8, 1}, {16, 17, 3, 3}},
        {{2, 17, 8, 1}, {16, 17, 1, 1}}});
  add2({"one tap of many channels", {}},
       {{{1, 4, 1, 5}, {4, 4, 1, 1}}, {{3, 20, 7, 9}, {33, 20, 1, 1}}});
  add2({"groups of many channels", {.padding = {1}, .groups = 2}, false},
       {{{1, 8, 1, 1}, {8, 4, 1, 1}}, {{3, 34, 9, 7}, {40, 17, 3, 3}}});
  add2({"stride larger than the kernel", {.stride = {3}}},
       {{{1, 1, 5, 6}, {2, 1, 2, 1}}, {{1, 3, 14, 10}, {8, 3, 2, 2}}});
  add2({"an option per axis", {.stride = {2, 1}, .padding = {0, 2}, .dilation = {1, 3}}},
       {{{1, 1, 5, 4}, {2, 1, 3, 2}}, {{1, 2, 9, 21}, {4, 2, 2, 3}}});
  add2({"stride and dilation", {.stride = {2}, .padding = {3}, .dilation = {3}}},
       {{{1, 1, 5, 5}, {1, 1, 3, 3}}, {{2, 2, 9, 12}, {5, 2, 3, 3}}});
  add2({"groups", {.padding = {1}, .groups = 2}},
       {{{1, 4, 2, 2}, {4, 2, 1, 2}}, {{2, 6, 9, 8}, {10, 3, 3, 3}}});
  add2({"a group per channel", {.padding = {1}, .groups = 3}},
       {{{1, 3, 2, 2}, {3, 1, 2, 2}}, {{1, 3, 12, 19}, {6, 1, 3, 3}}});
  add2({"empty", {.padding = {1}}},
       {{{0, 2, 4, 4}, {3, 2, 3, 3}}, {{2, 0, 4, 4}, {3, 0, 3, 3}}, {{2, 2, 4, 4}, {0, 2, 3, 3}}});
  // Tasks of several images, and more places than are added up in one number.
  add2({"many images", {.padding = {1}}, false}, {{{1, 4, 1, 5}, {4, 4, 1, 1}},
                                                  {{40, 3, 5, 5}, {17, 3, 3, 3}},
                                                  {{40, 3, 5, 5}, {2, 3, 3, 3}}});
  add2({"many images, one tap", {}, false},
       {{{1, 4, 1, 5}, {4, 4, 1, 1}}, {{40, 17, 5, 5}, {17, 17, 1, 1}}});
  add2({"many places", {.padding = {1}}, false}, {{{1, 4, 1, 5}, {4, 4, 1, 1}},
                                                  {{1, 1, 40, 33}, {17, 1, 3, 3}},
                                                  {{2, 17, 20, 20}, {17, 17, 3, 3}}});
  // Blocks of rows (the map is larger than a cache), and weights larger than a cache.
  add2({"large map", {.padding = {1}}, false},
       {{{1, 1, 4, 4}, {1, 1, 3, 3}}, {{1, 24, 70, 66}, {2, 24, 3, 3}}});
  add2({"many weights", {.padding = {1}}, false}, {{{1, 1, 4, 4}, {1, 1, 3, 3}},
                                                   {{2, 48, 5, 7}, {100, 48, 3, 3}},
                                                   {{1, 1250, 3, 3}, {3, 1250, 3, 3}}});

  add3({"", {}}, {{{1, 1, 3, 3, 2}, {1, 1, 2, 3, 2}},
                  {{1, 2, 3, 4, 3}, {2, 2, 2, 3, 2}},
                  {{2, 1, 4, 6, 9}, {5, 1, 3, 3, 3}}});
  add3({"padding", {.padding = {1}}}, {{{1, 1, 2, 2, 3}, {2, 1, 2, 2, 2}},
                                       {{1, 1, 3, 3, 4}, {2, 1, 3, 3, 3}},
                                       {{2, 3, 5, 8, 8}, {4, 3, 3, 3, 3}},
                                       {{2, 16, 5, 8, 8}, {17, 16, 3, 3, 3}}});
  add3({"one tap, padding of depth", {.padding = {1, 0, 0}}, false},
       {{{1, 4, 1, 2, 2}, {4, 4, 1, 1, 1}}, {{2, 16, 1, 3, 4}, {17, 16, 1, 1, 1}}});
  add3({"an option per axis", {.stride = {2, 1, 2}, .padding = {1, 0, 1}, .dilation = {1, 2, 1}}},
       {{{1, 1, 2, 3, 3}, {1, 1, 2, 2, 2}}, {{1, 2, 4, 5, 4}, {2, 2, 3, 2, 3}}});
  return list;
}

}  // namespace heed::test
