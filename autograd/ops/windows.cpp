#include <heed/autograd/ops/windows.h>

#include <algorithm>

#include <heed/backends/windows.h>
#include <heed/core/plan.h>

namespace heed {

Windows Windows::transposed() const {
  Windows t;
  t.in = out();
  t.begin.assign(static_cast<size_t>(in), 0);
  t.count.assign(static_cast<size_t>(in), 0);
  // Windows never turn back, so the outputs that see an element follow each other.
  for (size_t o = 0; o < begin.size(); ++o)
    for (int64_t k = 0; k < count[o]; ++k) {
      const auto i = static_cast<size_t>(begin[o] + k);
      if (t.count[i]++ == 0) t.begin[i] = static_cast<int64_t>(o);
    }
  t.widest = std::max<int64_t>(1, *std::max_element(t.count.begin(), t.count.end()));
  t.weight.assign(static_cast<size_t>(in * t.widest), 0);
  for (int64_t o = 0; o < out(); ++o)
    for (int64_t k = 0; k < count[static_cast<size_t>(o)]; ++k) {
      const int64_t i = begin[static_cast<size_t>(o)] + k;
      const int64_t place = o - t.begin[static_cast<size_t>(i)];
      t.weight[static_cast<size_t>(i * t.widest + place)] =
          weight[static_cast<size_t>(o * widest + k)];
    }
  return t;
}

WindowAxis Windows::on(Device device, DType dtype, bool weighted) const {
  std::vector<int64_t> range;
  for (size_t o = 0; o < begin.size(); ++o) range.insert(range.end(), {begin[o], count[o]});
  WindowAxis axis{in, out(), step, widest, plan_on(Array::from(range, {out(), 2}), device), {}};
  if (!weighted) return axis;
  Array weights;
  if (dtype == DType::f64) {
    weights = Array::from(weight, {out(), widest});
  } else {
    weights = Array::from(std::vector<float>(weight.begin(), weight.end()), {out(), widest});
  }
  axis.weights = plan_on(weights, device);
  return axis;
}

void merge_whole(Windows (&axes)[3], bool weighted) {
  for (int last = 2, before = 1; before >= 0; --before) {
    Windows &inner = axes[last], &outer = axes[before];
    const int64_t size = outer.in * inner.in;
    if (!inner.whole() || !outer.whole() || (weighted && size > kLargestMerged)) return;
    Windows merged;
    merged.in = merged.widest = merged.count[0] = size;
    if (weighted) {
      merged.weight.clear();
      for (double a : outer.weight)
        for (double b : inner.weight) merged.weight.push_back(a * b);
    }
    inner = merged;
    outer = Windows();
  }
}

}  // namespace heed
