#include <heed/backends/cpu/conv_plan.h>

#include <algorithm>
#include <vector>

namespace heed::kernels::common {
namespace {

constexpr int64_t kCacheBytes = 256 << 10;  // packed elements of a task: within the second level

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

// The smallest m with m * stride >= n.
int64_t first_multiple(int64_t n, int64_t stride) { return n > 0 ? divide_up(n, stride) : 0; }

struct PlannedAxis {
  ConvSteps steps{};
  std::vector<int64_t> start;
  std::vector<ConvTap> taps;

  const ConvSteps& finished() {
    steps.phases = static_cast<int64_t>(start.size());
    steps.taps = static_cast<int64_t>(taps.size());
    steps.start = start.data();
    steps.tap = taps.data();
    for (const ConvTap& t : taps) steps.margin = std::max(steps.margin, t.shift);
    return steps;
  }
};

// Result o reads o * stride + k * dilation - padding: phase (k dilation) % stride, shift (k
// dilation) / stride. Phases that no tap reads are not packed.
void plan_convolution(const ConvAxis& a, PlannedAxis& out) {
  out.steps.count = a.result;
  out.steps.place_step = 1;
  out.steps.step = a.stride;
  out.steps.source = a.source;
  for (int64_t k = 0; k < a.kernel; ++k) {
    int64_t start = k * a.dilation % a.stride - a.padding;
    auto at = std::find(out.start.begin(), out.start.end(), start);
    if (at == out.start.end()) at = out.start.insert(at, start);
    out.taps.push_back({k, at - out.start.begin(), k * a.dilation / a.stride});
  }
}

// Input element i, i + padding = m stride + residue, is read through tap k by the result
// m - (k dilation) / stride, for every k with (k dilation) % stride == residue.
void plan_input_gradient(const ConvAxis& a, PlannedAxis& out) {
  const int64_t first = first_multiple(a.padding - a.residue, a.stride);
  const int64_t last = a.result - 1 + a.padding - a.residue;  // the largest m stride
  out.steps.count = last < first * a.stride ? 0 : last / a.stride - first + 1;
  out.steps.place = first * a.stride + a.residue - a.padding;
  out.steps.place_step = a.stride;
  out.steps.step = 1;
  out.steps.source = a.source;
  int64_t most = 0;
  for (int64_t k = 0; k < a.kernel; ++k)
    if (k * a.dilation % a.stride == a.residue) most = k * a.dilation / a.stride;
  for (int64_t k = 0; k < a.kernel; ++k)
    if (k * a.dilation % a.stride == a.residue)
      out.taps.push_back({k, 0, most - k * a.dilation / a.stride});
  out.start.push_back(first - most);
}

ConvSteps plan_axis(const ConvAxis& a, PlannedAxis& out) {
  if (a.residue < 0) plan_convolution(a, out);
  else plan_input_gradient(a, out);
  return out.finished();
}

// The vectors of a block of `rows` by `columns` results.
struct PlannedVectors {
  std::vector<ConvVector> vectors;
  std::vector<int32_t> lane, place, result;

  void add(const ConvPlan& p, int64_t first, int64_t rows, int64_t columns) {
    const int64_t lanes = p.request.lanes, stride = p.request.axis[2].result;
    ConvVector v{first, 0, 0, true, false};
    const size_t before = lane.size(), after = before + static_cast<size_t>(lanes);
    lane.resize(after);
    place.resize(after);
    result.resize(after, -1);
    int32_t *kept = lane.data() + before, *to = place.data() + before;
    int64_t y = first / p.row, x = first % p.row;
    for (int64_t l = 0; l < lanes; ++l) {
      if (y < rows && x < columns) {
        const int64_t at = y * p.height.place_step * stride + x * p.width.place_step;
        if (v.kept == 0) v.place = at;
        v.dense = v.dense && at == v.place + v.kept;
        result[before + static_cast<size_t>(l)] = static_cast<int32_t>(v.kept);
        kept[v.kept] = static_cast<int32_t>(l);
        to[v.kept++] = static_cast<int32_t>(at);
      }
      if (++x == p.row) x = 0, ++y;
    }
    if (v.kept > 0) return vectors.push_back(v);
    lane.resize(before);
    place.resize(before);
    result.resize(before);
  }

  ConvVectors plan(const ConvPlan& p, int64_t rows, int64_t columns) {
    const int64_t lanes = p.request.lanes, stretch = (rows - 1) * p.row + columns;
    for (int64_t f = 0; f < stretch; f += lanes) add(p, f, rows, columns);
    const int64_t end = vectors.back().place + vectors.back().kept;
    // Rows without gaps between them: what lies beyond a vector's results is the next one's.
    const bool whole =
        p.width.place_step == 1 &&
        (rows == 1 || (p.height.place_step == 1 && columns == p.request.axis[2].result));
    for (size_t i = 0; i < vectors.size(); ++i) {
      ConvVector& v = vectors[i];
      v.wide = whole && v.dense && v.place + lanes <= end;
    }
    return {static_cast<int64_t>(vectors.size()), vectors.data(), lane.data(), place.data(),
            result.data()};
  }
};

struct PlannedPlaces {
  std::vector<int32_t> source, place;

  ConvPlaces plan(const ConvPlan& p, int64_t rows, int64_t columns) {
    const int64_t stride = p.request.axis[2].result;
    source.reserve(static_cast<size_t>(rows * columns));
    place.reserve(source.capacity());
    for (int64_t y = 0; y < rows; ++y)
      for (int64_t x = 0; x < columns; ++x) {
        source.push_back(static_cast<int32_t>(y * p.row + x));
        place.push_back(
            static_cast<int32_t>(y * p.height.place_step * stride + x * p.width.place_step));
      }
    const auto count = static_cast<int64_t>(place.size());
    const bool dense = place.back() == count - 1;
    if (dense) return {count, count, 1, source.data(), place.data()};
    return {count, columns, p.width.place_step, source.data(), place.data()};
  }
};

// Packing `count` elements of an axis copies the whole axis in its order.
bool lies_packed(const ConvSteps& axis, int64_t count) {
  return axis.step == 1 && axis.start[0] == 0 && axis.source == count && axis.count <= count;
}

// Of blocks of that size: the packed elements of a row, a phase's plane and an image.
void size_blocks(ConvPlan& p, int64_t rows, int64_t columns) {
  p.rows = rows;
  p.columns = columns;
  p.row_blocks = divide_up(p.height.count, rows);
  p.column_blocks = divide_up(p.width.count, columns);
  p.row = columns + p.width.margin;
  p.plane = (rows + p.height.margin) * p.row;
  p.packed = p.request.source_channels * p.depth.taps * p.height.phases * p.width.phases * p.plane +
             p.request.lanes;
}

// Blocks, and images of a task: as much as stays in cache, and enough tasks for the threads. Only
// single rows are cut, and not into pieces of fewer than kColumns results.
void divide(ConvPlan& p) {
  constexpr int64_t kColumns = 128;
  const ConvRequest& r = p.request;
  const int64_t bytes = r.element_bytes, threads = num_threads();
  const int64_t planes = r.groups * p.depth.count;
  auto fits = [&] {
    const bool few = r.batch * planes * p.row_blocks * p.column_blocks < 2 * threads;
    return p.packed * bytes <= kCacheBytes && !(few && p.rows * p.row > 16 * r.lanes);
  };
  size_blocks(p, p.height.count, p.width.count);
  while (p.rows > 1 && !fits()) size_blocks(p, divide_up(p.rows, 2), p.columns);
  while (p.columns > 2 * kColumns && !fits()) size_blocks(p, p.rows, divide_up(p.columns, 2));
  const int64_t blocks = p.row_blocks * p.column_blocks;
  int64_t most = std::max<int64_t>(1, r.batch * planes * blocks / (4 * threads));
  p.images = std::clamp<int64_t>(kCacheBytes / (p.packed * bytes), 1, std::min(most, r.batch));
  p.stacks = divide_up(r.batch, p.images);
  p.tasks = p.stacks * planes * blocks;
}

}  // namespace

void with_conv_plan(const ConvRequest& request, FunctionRef<void(const ConvPlan&)> f) {
  PlannedAxis axis[3];
  ConvPlan p{};
  p.request = request;
  p.depth = plan_axis(request.axis[0], axis[0]);
  p.height = plan_axis(request.axis[1], axis[1]);
  p.width = plan_axis(request.axis[2], axis[2]);
  if (request.batch * request.groups * request.result_channels == 0 ||
      p.depth.count * p.height.count * p.width.count == 0)
    return;
  p.channel = request.axis[0].result * request.axis[1].result * request.axis[2].result;
  divide(p);

  std::vector<int64_t> offset, tap;
  for (int64_t c = 0; c < request.source_channels; ++c)
    for (int64_t z = 0; z < p.depth.taps; ++z)
      for (const ConvTap& y : axis[1].taps)
        for (const ConvTap& x : axis[2].taps) {
          int64_t plane = ((c * p.depth.taps + z) * p.height.phases + y.phase) * p.width.phases;
          offset.push_back((plane + x.phase) * p.plane + y.shift * p.row + x.shift);
          if (c == 0)
            tap.push_back(
                (axis[0].taps[static_cast<size_t>(z)].index * request.axis[1].kernel + y.index) *
                    request.axis[2].kernel +
                x.index);
        }
  p.terms = static_cast<int64_t>(offset.size());
  p.offset = offset.data();
  p.taps = p.depth.taps * p.height.taps * p.width.taps;
  p.tap = tap.data();

  const int64_t kernel = request.axis[0].kernel * request.axis[1].kernel * request.axis[2].kernel;
  p.taps_in_order = p.taps == kernel && std::is_sorted(tap.begin(), tap.end());
  // With places in the lanes, vectors also read what a packed source has beyond its end.
  p.source_as_it_is = request.by_channels && kernel == 1 && p.row_blocks * p.column_blocks == 1 &&
                      lies_packed(p.depth, 1) && lies_packed(p.height, p.plane / p.row) &&
                      lies_packed(p.width, p.row);

  PlannedVectors full, last;
  PlannedPlaces full_places, last_places;
  const int64_t last_rows = p.height.count - (p.row_blocks - 1) * p.rows;
  const int64_t last_columns = p.width.count - (p.column_blocks - 1) * p.columns;
  const bool differs = last_rows < p.rows || last_columns < p.columns;
  if (request.by_channels) {
    p.full_places = p.last_places = full_places.plan(p, p.rows, p.columns);
    if (differs) p.last_places = last_places.plan(p, last_rows, last_columns);
  } else {
    p.full = p.last = full.plan(p, p.rows, p.columns);
    if (differs) p.last = last.plan(p, last_rows, last_columns);
  }
  f(p);
}

ConvTask conv_task(const ConvPlan& plan, int64_t index) {
  ConvTask t{};
  const int64_t column = index % plan.column_blocks;
  index /= plan.column_blocks;
  const int64_t row = index % plan.row_blocks;
  index /= plan.row_blocks;
  t.row = row * plan.rows;
  t.column = column * plan.columns;
  // Where rows are cut, a block has one row, and the last row is like the others.
  t.last = plan.column_blocks > 1 ? column == plan.column_blocks - 1 : row == plan.row_blocks - 1;
  t.depth = index % plan.depth.count;
  index /= plan.depth.count;
  t.group = index % plan.request.groups;
  index /= plan.request.groups;
  t.first_image = index * plan.images;
  t.images = std::min(plan.images, plan.request.batch - t.first_image);
  return t;
}

}  // namespace heed::kernels::common
