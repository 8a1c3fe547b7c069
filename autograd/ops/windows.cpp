#include <heed/autograd/ops/windows.h>

#include <algorithm>

#include <heed/backends/windows.h>
#include <heed/core/plan.h>

namespace heed {

Windows Windows::transposed() const {
  Windows t;
  t.in = out();
  t.begin.clear();
  t.count.clear();
  t.widest = 1;
  // Windows never turn back, so the outputs that see an element follow each other: from the first
  // that ends behind it to the first that begins behind it.
  int64_t first = 0, last = 0;
  auto begins = [&](int64_t o) { return begin[static_cast<size_t>(o)]; };
  auto ends = [&](int64_t o) { return begins(o) + count[static_cast<size_t>(o)]; };
  for (int64_t i = 0; i < in; ++i) {
    while (first < out() && ends(first) <= i) ++first;
    while (last < out() && begins(last) <= i) ++last;
    t.begin.push_back(first);
    t.count.push_back(std::max<int64_t>(0, last - first));
    t.widest = std::max(t.widest, t.count.back());
  }
  if (kind != WindowWeights::of_both) {
    t.kind = kind == WindowWeights::of_window ? WindowWeights::of_element  //
                                              : WindowWeights::of_window;
    t.weight = weight;
    return t;
  }
  t.kind = kind;
  t.weight.assign(static_cast<size_t>(in * t.widest), 0);
  for (int64_t o = 0; o < out(); ++o)
    for (int64_t i = begins(o); i < ends(o); ++i) {
      const int64_t place = o - t.begin[static_cast<size_t>(i)];
      t.weight[static_cast<size_t>(i * t.widest + place)] =
          weight[static_cast<size_t>(o * widest + i - begins(o))];
    }
  return t;
}

WindowAxis Windows::on(Device device, DType dtype, bool weighted) const {
  std::vector<int64_t> range;
  for (size_t o = 0; o < begin.size(); ++o) range.insert(range.end(), {begin[o], count[o]});
  const Array ranges = plan_on(Array::from(range, {out(), 2}), device);
  WindowAxis axis{in, out(), step, widest, ranges, {}, kind};
  if (!weighted) return axis;
  const Shape numbers{static_cast<int64_t>(weight.size())};
  const Array weights =
      dtype == DType::f64 ? Array::from(weight, numbers)
                          : Array::from(std::vector<float>(weight.begin(), weight.end()), numbers);
  axis.weights = plan_on(weights, device);
  return axis;
}

void merge_whole(Windows (&axes)[3], bool weighted) {
  for (int last = 2, before = 1; before >= 0; --before) {
    Windows &inner = axes[last], &outer = axes[before];
    if (!inner.whole() || !outer.whole()) return;
    auto one_each = [](const Windows& w) { return w.kind == WindowWeights::of_window; };
    if (weighted && !(one_each(inner) && one_each(outer))) return;
    Windows merged;
    merged.in = merged.widest = merged.count[0] = outer.in * inner.in;
    if (weighted) merged.weight = {outer.weight[0] * inner.weight[0]};
    inner = merged;
    outer = Windows();
  }
}

}  // namespace heed
