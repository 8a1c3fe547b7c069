#include <heed/data/augment.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include <heed/core/error.h>
#include <heed/core/xtensor.h>
#include <heed/data/keyed_generator.h>
#include <heed/data/resize.h>

namespace heed::data {

namespace {
constexpr std::pair<const char*, bool Augmentation::*> kAugmentations[] = {
    {"shift", &Augmentation::shift},
    {"crop", &Augmentation::crop},
    {"flip", &Augmentation::flip},
    {"erase", &Augmentation::erase}};

// Numbers that differ for every (seed, epoch, image, augmentation).
Generator augmentation_generator(uint64_t seed, int64_t epoch, int64_t index, uint32_t purpose) {
  return keyed_generator(seed, index, static_cast<uint32_t>(epoch), 0x61756700 + purpose);
}

struct Box {
  int64_t y, x, height, width;
};

// A rectangle of some share of the area, low to high, and some proportion, 1 : r to r : 1.
Box random_box(int64_t height, int64_t width, double low, double high, double r,
               Generator& random) {
  double area = (low + (high - low) * random.uniform()) * static_cast<double>(height * width);
  double ratio = std::exp(std::log(r) * (2 * random.uniform() - 1));  // width : height
  auto side = [](double length, int64_t most) {
    return std::clamp<int64_t>(std::llround(length), 1, most);
  };
  Box box{0, 0, side(std::sqrt(area / ratio), height), side(std::sqrt(area * ratio), width)};
  box.y = static_cast<int64_t>(random.integer(static_cast<uint64_t>(height - box.height + 1)));
  box.x = static_cast<int64_t>(random.integer(static_cast<uint64_t>(width - box.width + 1)));
  return box;
}

auto rows_of(const Box& box) { return xt::range(box.y, box.y + box.height); }
auto columns_of(const Box& box) { return xt::range(box.x, box.x + box.width); }

void shift_planes(const Array& planes, Generator& random) {
  auto step = [&random](int64_t size) {
    int64_t most = size / 8;
    return static_cast<int64_t>(random.integer(static_cast<uint64_t>(2 * most + 1))) - most;
  };
  int64_t height = planes.dim(1), width = planes.dim(2), down = step(height), right = step(width);
  Box to{std::max<int64_t>(down, 0), std::max<int64_t>(right, 0), height - std::abs(down),
         width - std::abs(right)};
  Box from{std::max<int64_t>(-down, 0), std::max<int64_t>(-right, 0), to.height, to.width};
  auto pixels = as_xtensor<float, 3>(planes);
  xt::xtensor<float, 3> before = pixels;
  pixels.fill(0);
  xt::noalias(xt::view(pixels, xt::all(), rows_of(to), columns_of(to))) =
      xt::view(before, xt::all(), rows_of(from), columns_of(from));
}

void crop_planes(const Array& planes, Generator& random) {
  int64_t height = planes.dim(1), width = planes.dim(2);
  Box box = random_box(height, width, 0.25, 1, 4.0 / 3, random);
  Array part = planes.slice(1, box.y, box.y + box.height).slice(2, box.x, box.x + box.width);
  Array sized = resize_planes(part, height, width);
  xt::noalias(as_xtensor<float, 3>(planes)) = as_xtensor<float, 3>(sized);
}

void flip_planes(const Array& planes, Generator& random) {
  if (random.integer(2) == 0) return;
  auto pixels = as_xtensor<float, 3>(planes);
  pixels = xt::eval(xt::flip(pixels, 2));
}

void erase_planes(const Array& planes, Generator& random) {
  if (random.integer(2) == 0) return;
  Box box = random_box(planes.dim(1), planes.dim(2), 0.02, 0.25, 3, random);
  xt::view(as_xtensor<float, 3>(planes), xt::all(), rows_of(box), columns_of(box)) = 0;
}
}  // namespace

Augmentation parse_augmentation(std::string_view names) {
  Augmentation out;
  if (names.empty() || names == "none") return out;
  for (size_t begin = 0, end; begin <= names.size(); begin = end + 1) {
    end = std::min(names.find(',', begin), names.size());
    std::string_view name = names.substr(begin, end - begin);
    auto* row = std::find_if(std::begin(kAugmentations), std::end(kAugmentations),
                             [&](const auto& known) { return name == known.first; });
    if (row == std::end(kAugmentations))
      throw ValueError(str("augmentation '", name, "': shift, crop, flip, erase or none expected"));
    if (std::exchange(out.*row->second, true))
      throw ValueError(str("augmentation '", name, "' is given twice in '", names, "'"));
  }
  return out;
}

std::string to_string(const Augmentation& augmentation) {
  std::string out;
  for (auto [name, chosen] : kAugmentations)
    if (augmentation.*chosen) out.append(out.empty() ? "" : ",").append(name);
  return out.empty() ? "none" : out;
}

void augment(const Array& image, const Augmentation& augmentation, uint64_t seed, int64_t epoch,
             int64_t index) {
  if (image.rank() < 3 || image.numel() == 0)
    throw ShapeError(str("augment: [C, H, W] or [C, T, H, W] expected, got ", image.shape()));
  int64_t height = image.dim(-2), width = image.dim(-1);
  Array planes = image.view({image.numel() / (height * width), height, width});
  uint32_t purpose = 0;
  auto random = [&] { return augmentation_generator(seed, epoch, index, purpose); };
  using Change = void (*)(const Array&, Generator&);
  constexpr std::pair<bool Augmentation::*, Change> kOrder[] = {
      {&Augmentation::shift, shift_planes},
      {&Augmentation::crop, crop_planes},
      {&Augmentation::flip, flip_planes},
      {&Augmentation::erase, erase_planes}};
  for (auto [chosen, change] : kOrder) {
    ++purpose;
    if (!(augmentation.*chosen)) continue;
    Generator generator = random();
    change(planes, generator);
  }
}

}  // namespace heed::data
