// Pooling and interpolation.
#include <cmath>
#include <limits>
#include <tuple>

#include <heed/autograd/ops/interpolate.h>
#include <heed/autograd/ops/pool.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

namespace {

// The naive side of pooling: places of one axis that output o sees, and the divisor of its mean.
struct Seen {
  std::vector<int64_t> places;
  int64_t divisor = 0;
};
using Look = std::function<Seen(int axis, int64_t in, int64_t o)>;
using Size = std::function<int64_t(int axis, int64_t in)>;

// `max` of the elements seen, or their sum over the product of divisors.
Naive pooled(bool max, Size size, Look look) {
  return [=](const std::vector<Values>& in) {
    const Values& x = in[0];
    Shape shape = x.shape;
    for (int a = 2; a < shape.rank(); ++a) shape[a] = size(a - 2, x.shape[a]);
    return filled(shape, [&](const Shape& index) {
      double best = -std::numeric_limits<double>::infinity(), sum = 0, divisor = 1;
      std::vector<Seen> seen;
      for (int a = 2; a < shape.rank(); ++a) {
        seen.push_back(look(a - 2, x.shape[a], index[a]));
        divisor *= static_cast<double>(seen.back().divisor);
      }
      Shape at = index;
      std::function<void(int)> visit = [&](int a) {
        if (a == shape.rank()) {
          best = std::max(best, x(at));
          sum += x(at);
          return;
        }
        for (int64_t place : seen[static_cast<size_t>(a - 2)].places) {
          at[a] = place;
          visit(a + 1);
        }
      };
      visit(2);
      return max ? best : sum / divisor;
    });
  };
}

int64_t pick(const Shape& sizes, int axis) { return sizes[sizes.rank() == 1 ? 0 : axis]; }

Naive window_pool(bool max, const Shape& kernel, const PoolOptions& o) {
  const Shape stride = o.stride.rank() == 0 ? kernel : o.stride;
  Size size = [=](int a, int64_t in) {
    const double room = static_cast<double>(in + 2 * pick(o.padding, a) -
                                            pick(o.dilation, a) * (pick(kernel, a) - 1) - 1);
    const double steps = room / static_cast<double>(pick(stride, a));
    auto out = static_cast<int64_t>(o.ceil_mode ? std::ceil(steps) : std::floor(steps)) + 1;
    if (o.ceil_mode && (out - 1) * pick(stride, a) >= in + pick(o.padding, a)) --out;
    return out;
  };
  return pooled(max, size, [=](int a, int64_t in, int64_t out) {
    Seen seen;
    for (int64_t k = 0; k < pick(kernel, a); ++k) {
      const int64_t place = out * pick(stride, a) - pick(o.padding, a) + k * pick(o.dilation, a);
      if (place >= 0 && place < in) seen.places.push_back(place);
      if (o.count_include_pad ? place < in + pick(o.padding, a) : place >= 0 && place < in)
        ++seen.divisor;
    }
    if (o.divisor_override != 0) seen.divisor = a == 0 ? o.divisor_override : 1;
    return seen;
  });
}

Naive adaptive_pool(bool max, const Shape& sizes) {
  Size size = [=](int a, int64_t) { return pick(sizes, a); };
  return pooled(max, size, [=](int a, int64_t in, int64_t o) {
    Seen seen;
    for (int64_t i = 0; i < in; ++i)
      if ((i + 1) * pick(sizes, a) > o * in && i * pick(sizes, a) < (o + 1) * in)
        seen.places.push_back(i);
    seen.divisor = static_cast<int64_t>(seen.places.size());
    return seen;
  });
}

OpCase base(const std::string& op, const std::string& label, bool max,
            std::vector<std::vector<Shape>> shapes) {
  OpCase c;
  c.op = op;
  c.label = label;
  c.operands = {max ? distinct_values() : Operand{}};
  c.shapes = std::move(shapes);
  c.terms = 16;
  return c;
}

using Pool = Tensor (*)(const Tensor&, const Shape&, const PoolOptions&);
using Adaptive = Tensor (*)(const Tensor&, const Shape&);

// Shapes for one, two and three axes: small ones for differences, then some that fill vectors.
std::vector<std::vector<Shape>> shapes(int axes) {
  if (axes == 1) return {{{1, 2, 7}}, {{2, 1, 9}}, {{0, 2, 7}}, {{2, 3, 40}}, {{3, 50, 71}}};
  if (axes == 2)
    return {{{1, 1, 5, 7}},   {{1, 2, 4, 5}},   {{2, 0, 5, 5}},
            {{2, 3, 19, 41}}, {{1, 9, 33, 18}}, {{2, 3, 40, 72}}};
  return {{{1, 1, 4, 3, 3}}, {{1, 1, 3, 4, 3}}, {{2, 2, 7, 6, 19}}, {{1, 3, 5, 9, 34}}};
}

// One axis at a time: a sum over all elements, each weighted with its distance from the output's
// place.
Naive interpolated(const InterpolateOptions& o) {
  return [=](const std::vector<Values>& in) {
    Values x = in[0];
    for (int a = 2; a < x.shape.rank(); ++a) {
      const auto n = static_cast<double>(x.shape[a]);
      const size_t f = o.scale_factor.size() == 1 ? 0 : static_cast<size_t>(a - 2);
      Shape shape = x.shape;
      shape[a] = o.scale_factor.empty() ? pick(o.size, a - 2)
                                        : static_cast<int64_t>(std::floor(n * o.scale_factor[f]));
      const auto m = static_cast<double>(shape[a]);
      const double scale = o.scale_factor.empty() ? n / m : 1 / o.scale_factor[f];
      x = filled(shape, [&](const Shape& index) {
        const auto at = static_cast<double>(index[a]);
        double place = (at + 0.5) * scale - 0.5, sum = 0;
        if (o.align_corners) place = m > 1 ? at * (n - 1) / (m - 1) : 0;
        if (o.mode == InterpolateMode::nearest) place = std::floor(at * scale + 1e-6);
        place = std::min(std::max(place, 0.0), n - 1);
        Shape from = index;
        for (from[a] = 0; from[a] < x.shape[a]; ++from[a])
          sum += std::max(0.0, 1 - std::abs(static_cast<double>(from[a]) - place)) * x(from);
        return sum;
      });
    }
    return x;
  };
}

std::vector<OpCase> interpolate_cases() {
  using enum InterpolateMode;
  const InterpolateOptions settings[] = {
      {.size = {6}},
      {.size = {3}},
      {.scale_factor = {2}},
      {.scale_factor = {1.5}},
      {.size = {6}, .mode = linear},
      {.size = {3}, .mode = linear},
      {.size = {1}, .mode = linear, .align_corners = true},
      {.size = {7}, .mode = linear, .align_corners = true},
      {.scale_factor = {2}, .mode = linear},
      {.scale_factor = {0.7}, .mode = linear},
  };
  std::vector<OpCase> list;
  for (int axes = 1; axes <= 3; ++axes)
    for (const InterpolateOptions& o : settings) {
      OpCase c = base(
          "interpolate",
          str(axes, "d ", o.mode == nearest ? "nearest " : "linear ", o.size,
              o.scale_factor.empty() ? 0.0 : o.scale_factor[0], o.align_corners ? " corners" : ""),
          false, shapes(axes));
      if (axes == 2 && o.scale_factor.empty()) c.shapes.push_back({{2, 2, 1, 5}});
      c.run = [=](const std::vector<Tensor>& in) { return interpolate(in[0], o); };
      c.naive = interpolated(o);
      list.push_back(std::move(c));
    }
  OpCase c = base("interpolate", "one factor an axis", false, shapes(2));
  const InterpolateOptions o{.scale_factor = {0.5, 3}, .mode = linear};
  c.run = [=](const std::vector<Tensor>& in) { return interpolate(in[0], o); };
  c.naive = interpolated(o);
  list.push_back(std::move(c));
  return list;
}

}  // namespace

std::vector<OpCase> pool_cases() {
  std::vector<OpCase> list;
  struct Setting {
    const char* label;
    Shape kernel;
    PoolOptions options;
  };
  const Setting both[] = {
      {"2", {2}, {}},
      {"3 by 2", {3}, {.stride = {2}, .padding = {1}}},
      {"3 by 1", {3}, {.stride = {1}, .padding = {1}}},
      {"2 by 3, gaps", {2}, {.stride = {3}}},
      {"3 by 2, ceil", {3}, {.stride = {2}, .padding = {1}, .ceil_mode = true}},
  };
  const Setting max_only[] = {{"dilation", {2}, {.stride = {1}, .padding = {1}, .dilation = {2}}}};
  const Setting avg_only[] = {
      {"without padding",
       {3},
       {.stride = {2}, .padding = {1}, .ceil_mode = true, .count_include_pad = false}},
      {"divisor", {2}, {.stride = {1}, .padding = {1}, .divisor_override = 3}},
  };
  const Pool max_pools[] = {max_pool1d, max_pool2d, max_pool3d};
  const Pool avg_pools[] = {avg_pool1d, avg_pool2d, avg_pool3d};
  const Adaptive max_adaptive[] = {adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d};
  const Adaptive avg_adaptive[] = {adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d};
  for (int axes = 1; axes <= 3; ++axes) {
    const auto i = static_cast<size_t>(axes - 1);
    auto add = [&](bool max, const Setting& s) {
      OpCase c = base(str(max ? "max" : "avg", "_pool", axes, "d"), s.label, max, shapes(axes));
      Pool pool = max ? max_pools[i] : avg_pools[i];
      c.run = [=](const std::vector<Tensor>& in) { return pool(in[0], s.kernel, s.options); };
      c.naive = window_pool(max, s.kernel, s.options);
      list.push_back(std::move(c));
    };
    for (bool max : {true, false}) {
      for (const Setting& s : both) add(max, s);
      if (axes > 1)
        add(max, {"one size an axis",
                  axes == 2 ? Shape{3, 2} : Shape{2, 3, 1},
                  {.stride = axes == 2 ? Shape{1, 2} : Shape{2, 1, 1},
                   .padding = axes == 2 ? Shape{0, 1} : Shape{1, 1, 0}}});
      for (const Shape& size : {Shape{1}, Shape{3}, Shape{5}}) {
        OpCase c = base(str("adaptive_", max ? "max" : "avg", "_pool", axes, "d"),
                        str("to ", size[0]), max, shapes(axes));
        Adaptive pool = max ? max_adaptive[i] : avg_adaptive[i];
        c.run = [=](const std::vector<Tensor>& in) { return pool(in[0], size); };
        c.naive = adaptive_pool(max, size);
        c.terms = 60;
        list.push_back(std::move(c));
      }
    }
    for (const Setting& s : max_only) add(true, s);
    for (const Setting& s : avg_only) add(false, s);
  }
  // Planes that are too large to be seen as one row, and windows too wide for unrolled sums.
  const PoolOptions every_fourth{.stride = {1, 4}, .padding = {0, 3}};
  const PoolOptions every{.stride = {1}, .padding = {0, 3}, .count_include_pad = false};
  for (const auto& [max, label, o] : {std::tuple{true, "wide", every_fourth},
                                      {false, "wide", every_fourth},
                                      {false, "wide, every", every}}) {
    OpCase c =
        base(max ? "max_pool2d" : "avg_pool2d", label, max, {{{1, 1, 2, 14}}, {{2, 3, 2, 300}}});
    Pool pool = max ? max_pool2d : avg_pool2d;
    c.run = [pool, o = o](const std::vector<Tensor>& in) { return pool(in[0], {1, 13}, o); };
    c.naive = window_pool(max, {1, 13}, o);
    list.push_back(std::move(c));
  }
  OpCase large = base("adaptive_avg_pool2d", "large", false, {{{1, 1, 3, 4}}, {{1, 2, 70, 72}}});
  large.run = [](const std::vector<Tensor>& in) { return adaptive_avg_pool2d(in[0], {1}); };
  large.naive = adaptive_pool(false, {1});
  large.terms = 5000;
  list.push_back(std::move(large));
  for (OpCase& c : interpolate_cases()) list.push_back(std::move(c));
  return list;
}

}  // namespace heed::test
