// How a tensor prints: as NumPy does, aligned, nested in brackets, shortened when it is long.
//
//   Tensor([[1, 2.5],
//           [3,   4]], f32)
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <vector>

#include <heed/autograd/ops/operand.h>
#include <heed/autograd/tensor.h>
#include <heed/backends/copy.h>

namespace heed {

namespace {

constexpr int64_t kShortenAbove = 1000;  // elements
constexpr int64_t kEdge = 3;             // shown at either end of a shortened axis
constexpr size_t kLineWidth = 90;

// The indices along an axis that are shown; -1 stands for "...".
std::vector<int64_t> shown(int64_t size, bool shorten) {
  std::vector<int64_t> places;
  for (int64_t i = 0; i < size; ++i) {
    if (shorten && size > 2 * kEdge && i == kEdge) {
      places.push_back(-1);
      i = size - kEdge;
    }
    places.push_back(i);
  }
  return places;
}

std::string formatted(const char* format, int digits, double value) {
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, format, digits, value);
  return buffer;
}

// Calls f(element) for each element that is shown, in order. Element: an array of rank 0.
void visit_shown(const Array& x, bool shorten, const std::function<void(const Array&)>& f) {
  if (x.rank() == 0) return f(x);
  for (int64_t i : shown(x.dim(0), shorten))
    if (i >= 0) visit_shown(x.select(0, i), shorten, f);
}

double as_double(const Array& element) {
  Array value = Array::empty({}, DType::f64, kCpu);
  kernels::copy(element, value);
  return *value.data<double>();
}

std::string integer_text(const Array& element) {
  if (element.dtype() == DType::boolean) return *element.data<bool>() ? "true" : "false";
  Array value = Array::empty({}, DType::i64, kCpu);
  kernels::copy(element, value);
  return std::to_string(*value.data<int64_t>());
}

// One format for all elements: whole numbers without a point; otherwise with as few decimals as
// needed, up to four; or with an exponent, if the magnitudes differ too much for that.
class FloatFormat {
 public:
  explicit FloatFormat(const std::vector<double>& values) {
    double largest = 0, smallest = HUGE_VAL;
    bool whole = true;
    for (double v : values) {
      if (!std::isfinite(v)) continue;
      whole &= v == std::floor(v);
      largest = std::max(largest, std::abs(v));
      if (v != 0) smallest = std::min(smallest, std::abs(v));
    }
    exponent_ =
        largest >= 1e8 || (!whole && smallest < 1e-4) || (!whole && largest / smallest > 1e6);
    if (whole || exponent_) return;
    for (double v : values) {
      if (!std::isfinite(v)) continue;
      std::string text = formatted("%.*f", 4, v);
      int used = 4;
      while (used > 1 && text[text.size() - static_cast<size_t>(5 - used)] == '0') --used;
      decimals_ = std::max(decimals_, used);
    }
  }
  std::string operator()(double v) const {
    if (std::isnan(v)) return "nan";
    if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
    return exponent_ ? formatted("%.*e", 4, v) : formatted("%.*f", decimals_, v);
  }

 private:
  bool exponent_ = false;
  int decimals_ = 0;
};

class Printer {
 public:
  Printer(const Array& x, std::vector<std::string> texts, bool shorten)
      : texts_(std::move(texts)), shorten_(shorten) {
    for (const std::string& text : texts_) width_ = std::max(width_, text.size());
    print(x.shape(), 0, std::string("Tensor(").size());
  }
  std::string text() const { return out_; }

 private:
  // `indent`: the column at which this level's bracket stands.
  void print(const Shape& shape, int axis, size_t indent) {
    if (axis == shape.rank()) {
      const std::string& text = texts_[next_++];
      out_ += std::string(width_ - text.size(), ' ') + text;
      return;
    }
    bool innermost = axis + 1 == shape.rank();
    out_ += '[';
    size_t column = indent + 1;
    bool first = true;
    for (int64_t i : shown(shape[axis], shorten_)) {
      size_t width = i < 0 ? 3 : width_;
      if (!first) {
        out_ += ',';
        bool wrap = !innermost || column + width + 2 > kLineWidth;
        if (wrap) {
          out_ += std::string(static_cast<size_t>(innermost ? 1 : shape.rank() - axis - 1), '\n');
          out_ += std::string(indent + 1, ' ');
          column = indent + 1;
        } else {
          out_ += ' ';
        }
      }
      first = false;
      column += width + 2;
      if (i < 0) out_ += "...";
      else print(shape, axis + 1, indent + 1);
    }
    out_ += ']';
  }

  std::vector<std::string> texts_;
  bool shorten_;
  size_t width_ = 0, next_ = 0;
  std::string out_;
};

}  // namespace

std::string to_string(const Tensor& tensor) {
  if (!tensor.defined()) return "Tensor(undefined)";
  const Array x = packed(tensor.array()).to(kCpu);
  bool shorten = x.numel() > kShortenAbove;
  std::vector<std::string> texts;
  if (is_floating(x.dtype())) {
    std::vector<double> values;
    visit_shown(x, shorten, [&](const Array& element) { values.push_back(as_double(element)); });
    FloatFormat format(values);
    for (double v : values) texts.push_back(format(v));
  } else {
    visit_shown(x, shorten, [&](const Array& element) { texts.push_back(integer_text(element)); });
  }
  std::string body;
  if (x.numel() > 0) body = Printer(x, std::move(texts), shorten).text();
  else body = x.rank() == 1 ? "[]" : str("[], shape=", x.shape());
  std::string device = tensor.device() == kCpu ? "" : ", " + to_string(tensor.device());
  return str("Tensor(", body, ", ", x.dtype(), device, shorten ? str(", shape=", x.shape()) : "",
             ")");
}

}  // namespace heed
