#include <heed/data/image_set.h>

#include <algorithm>
#include <numeric>

#include <heed/core/error.h>
#include <heed/data/shuffle.h>

namespace heed::data {

MemoryImages::MemoryImages(Array images, std::vector<int64_t> labels,
                           std::vector<std::string> class_names)
    : images_(std::move(images)), labels_(std::move(labels)), class_names_(std::move(class_names)) {
  if (!images_.defined() || images_.dtype() != DType::u8)
    throw DTypeError(str("MemoryImages: u8 images expected, got ",
                         images_.defined() ? to_string(images_.dtype()) : "an undefined array"));
  const Shape& s = images_.shape();
  if ((s.rank() != 4 && s.rank() != 5) || s.numel() == 0 || (s[1] != 1 && s[1] != 3))
    throw ShapeError(
        str("MemoryImages: [N, C, H, W] or [N, C, T, H, W] with C = 1 or 3 expected, got ", s));
  if (!images_.is_contiguous()) throw ShapeError("MemoryImages: a row-major array expected");
  if (s[0] != size())
    throw ShapeError(str("MemoryImages: ", s[0], " images, but ", size(), " labels"));
  for (size_t i = 0; i < labels_.size(); ++i)
    if (labels_[i] < 0 || labels_[i] >= classes())
      throw ValueError(str("MemoryImages: image ", i, " has label ", labels_[i], ", but there are ",
                           classes(), " classes"));
  shape_ = Shape(s.begin() + 1, s.rank() - 1);
}

namespace {
class ImageSubset final : public ImageSet {
 public:
  ImageSubset(ImageSetPtr set, std::vector<int64_t> indices)
      : set_(std::move(set)), indices_(std::move(indices)) {}
  int64_t size() const override { return static_cast<int64_t>(indices_.size()); }
  const std::vector<std::string>& class_names() const override { return set_->class_names(); }
  Shape image_shape() const override { return set_->image_shape(); }
  int64_t label(int64_t i) const override { return set_->label(index(i)); }
  Array image(int64_t i) const override { return set_->image(index(i)); }

 private:
  int64_t index(int64_t i) const { return indices_[static_cast<size_t>(i)]; }
  ImageSetPtr set_;
  std::vector<int64_t> indices_;
};
}  // namespace

ImageSetPtr subset(ImageSetPtr set, std::vector<int64_t> indices) {
  if (indices.empty()) throw ValueError("subset: no image chosen");
  for (int64_t i : indices)
    if (i < 0 || i >= set->size())
      throw ValueError(str("subset: image ", i, " of a set of ", set->size()));
  return std::make_shared<ImageSubset>(std::move(set), std::move(indices));
}

ImageSplit split_by_class(const ImageSet& set, int64_t held_out, uint64_t seed) {
  int64_t n = set.size(), classes = set.classes();
  if (held_out < 1 || held_out >= n)
    throw ValueError(
        str("split_by_class: 1 to ", n - 1, " of ", n, " images can be held out, not ", held_out));
  std::vector<std::vector<int64_t>> members(static_cast<size_t>(classes));
  for (int64_t i = 0; i < n; ++i) members[static_cast<size_t>(set.label(i))].push_back(i);

  // Shares rounded down; the images then missing go to the classes with the largest remainders.
  std::vector<int64_t> share;
  for (auto& m : members) share.push_back(static_cast<int64_t>(m.size()) * held_out / n);
  std::vector<size_t> order(members.size());
  std::iota(order.begin(), order.end(), size_t{0});
  auto remainder = [&](size_t c) { return static_cast<int64_t>(members[c].size()) * held_out % n; };
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return remainder(a) > remainder(b); });
  int64_t missing = held_out - std::accumulate(share.begin(), share.end(), int64_t{0});
  for (int64_t i = 0; i < missing; ++i) ++share[order[static_cast<size_t>(i)]];

  ImageSplit split;
  for (size_t c = 0; c < members.size(); ++c) {
    Generator generator = epoch_generator(seed, static_cast<int64_t>(c), 0x73706c74);
    shuffle(members[c], generator);
    auto middle = members[c].begin() + share[c];
    split.held_out.insert(split.held_out.end(), members[c].begin(), middle);
    split.rest.insert(split.rest.end(), middle, members[c].end());
  }
  std::sort(split.held_out.begin(), split.held_out.end());
  std::sort(split.rest.begin(), split.rest.end());
  return split;
}

ImageSplit split_every(const ImageSet& set, int64_t n) {
  if (n < 2 || n > set.size())
    throw ValueError(str("split_every: 2 to ", set.size(), " expected, got ", n));
  ImageSplit split;
  for (int64_t i = 0; i < set.size(); ++i)
    (i % n == n - 1 ? split.held_out : split.rest).push_back(i);
  return split;
}

}  // namespace heed::data
