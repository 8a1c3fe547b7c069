// What a model looks at in a picture: attention weights laid over it, as one HTML page that needs
// no network, no script and no other file, prints well, and follows the reader's light or dark
// colours.
//
//   PicturePanel panel{picture, "cat.png", {"cat 93.1 %", "dog 5.0 %"}};
//   panel.query = PictureRegion{8, 12, 4, 4};                     // the patch that looks
//   panel.maps.push_back({"layer 1, head 1", weights});           // [rows, columns]
//   save_picture_page("attention.html", {panel}, {.title = "What the class token attends to"});
//
// Each map stands beside the plain picture in the picture's own size times a whole number. A cell
// of the map covers its part of the picture: the picture in grey, the more covered with orange the
// larger its weight; the largest weight of a map has full colour. Below a map stands the range of
// its weights. The region that looks has a blue frame (both told apart by all kinds of colour
// vision). A clip is its frames side by side: the page shows them with a gap and a number each.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <heed/core/array.h>
#include <heed/viz/attention_page.h>

namespace heed::viz {

struct PictureMap {
  std::string title;
  Array weights;  // [rows, columns] f32, f64 or bf16, any strides; at least 0
};

struct PictureRegion {  // in pixels
  int64_t x = 0, y = 0, width = 1, height = 1;
};

struct PicturePanel {
  Array picture;  // u8 [H, W] or [H, W, 3], any strides
  std::string title;
  std::vector<std::string> lines = {};      // paragraphs: the classes that it may be
  std::optional<PictureRegion> query = {};  // who looks; none: nobody in the picture
  std::vector<PictureMap> maps = {};
  int64_t frames = 1;  // the picture is so many of them side by side, of equal width
};

// u8 [H k, W k, 3]: the picture enlarged k times with the map over it. NaN weights are shown as 0.
// The checks are those of picture_page.
Array lay_over(const Array& picture, const Array& weights, int64_t enlarge);

// ValueError: no panels, a region outside its picture, a picture of more than 2^26 pixels when
// enlarged, frames that do not divide its width. ShapeError, DTypeError: pictures and maps that are
// not as said above, a map with more cells than the picture has pixels along an axis.
std::string picture_page(const std::vector<PicturePanel>& panels, const PageText& text = {});
// The same to a file. IoError.
void save_picture_page(const std::string& path, const std::vector<PicturePanel>& panels,
                       const PageText& text = {});

}  // namespace heed::viz
