// Naive values and how operands are drawn.
#include <algorithm>
#include <cmath>

#include <heed/tests/support/opcase_parts.h>

namespace heed::test {

size_t Values::place(const Shape& index) const {
  int64_t at = 0;
  for (int i = 0; i < shape.rank(); ++i) at = at * shape[i] + index[i];
  return static_cast<size_t>(at);
}

Values filled(const Shape& shape, const std::function<double(const Shape&)>& f) {
  Values out(shape);
  Shape index = Shape::filled(shape.rank(), 0);
  for (double& value : out.data) {
    value = f(index);
    for (int i = shape.rank() - 1; i >= 0; --i) {
      if (++index[i] < shape[i]) break;
      index[i] = 0;
    }
  }
  return out;
}

Naive pointwise(std::function<double(const std::vector<double>&)> f) {
  return [f](const std::vector<Values>& in) {
    Shape shape;
    for (const Values& v : in) shape = broadcast(shape, v.shape, "naive");
    return filled(shape, [&](const Shape& index) {
      std::vector<double> arguments;
      for (const Values& v : in) {
        Shape own = v.shape;
        for (int i = 0; i < own.rank(); ++i)
          own[i] = v.shape[i] == 1 ? 0 : index[shape.rank() - own.rank() + i];
        arguments.push_back(v(own));
      }
      return f(arguments);
    });
  };
}

bool close(const std::vector<double>& a, const std::vector<double>& b, double tolerance,
           double scale) {
  if (a.size() != b.size()) return false;
  double difference = 0, size = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    if (a[i] == b[i] || (std::isnan(a[i]) && std::isnan(b[i]))) continue;
    difference += (a[i] - b[i]) * (a[i] - b[i]);
  }
  for (double v : b) size += v * v;
  double n = std::max<double>(1, static_cast<double>(b.size()));
  return std::sqrt(difference / n) <= tolerance * std::max(std::sqrt(size / n), scale);
}

std::vector<std::vector<Shape>> vector_sizes(int operands) {
  std::vector<std::vector<Shape>> list;
  for (int64_t n = 1; n <= 35; ++n) list.emplace_back(static_cast<size_t>(operands), Shape{n});
  return list;
}

// Numbers that f32 holds exactly, so that f32 and f64 start from the same place.
std::vector<double> draw(const Operand& o, const Shape& shape, uint64_t seed) {
  Generator generator(seed);
  std::vector<double> values(static_cast<size_t>(shape.numel()));
  for (double& v : values) {
    if (o.kind == Operand::index) {
      v = static_cast<double>(
          generator.integer(static_cast<uint64_t>(std::max<int64_t>(1, o.bound))));
    } else if (o.kind == Operand::boolean) {
      v = static_cast<double>(generator.integer(2));
    } else {
      v = o.low + (o.high - o.low) * generator.uniform();
      if (std::abs(v) < o.gap) v = std::copysign(o.gap, v) + v;
      v = static_cast<double>(static_cast<float>(v));
    }
  }
  if (o.distinct) {
    for (size_t i = 0; i < values.size(); ++i) values[i] = o.low + static_cast<double>(i) / 64;
    for (size_t i = values.size(); i > 1; --i)
      std::swap(values[i - 1], values[generator.integer(i)]);
  }
  return values;
}

Tensor tensor_of(const Values& values, DType dtype) {
  return Tensor(Array::from(values.data, values.shape)).to(dtype).clone().to(default_device());
}

Values values_of(const Tensor& t) {
  Values out(t.shape());
  out.data = t.to_vector();
  return out;
}

}  // namespace heed::test
