// Attention maps as a picture: one map or a grid of them (heads, layers). Rows are queries, columns
// are keys.
//
//   AttentionMap map{weights, "layer 2, head 1", target_words, source_words};   // weights [T, S]
//   draw_maps({map}).save("attention.svg");
//
// A cell's colour goes from near white (0) to dark blue (`max`); its lightness falls evenly, so it
// reads in grey as well. Values outside are clamped, NaN is red. Labels stand left of the rows and
// upright above the columns; of a long one, 32 characters. A map with more than 64 rows or columns
// is an embedded image of one pixel a cell.
#pragma once

#include <string>
#include <vector>

#include <heed/core/array.h>
#include <heed/viz/svg.h>

namespace heed::viz {

struct AttentionMap {
  Array weights;  // [T, S] f32, f64 or bf16, any strides
  std::string title{};
  std::vector<std::string> row_labels{};     // T of them, or none
  std::vector<std::string> column_labels{};  // S of them, or none
};

struct MapOptions {
  double cell = 22;      // the side of a cell, 0.1 to 256; labels need at least 9
  int grid_columns = 0;  // maps beside each other; 0: about as many as below each other
  double max = 1;        // the value of the darkest colour
  bool legend = true;
};

// 0 -> near white, 1 -> dark blue. Clamps; NaN gives red.
Color heat_color(double value);

// ShapeError, DTypeError: weights that are not [T, S] of floats with T, S >= 1; another number of
// labels than of rows or columns. ValueError: no maps, options out of range, a picture of more than
// 65535 units a side, more than 2^26 weights.
Svg draw_maps(const std::vector<AttentionMap>& maps, const MapOptions& options = {});

}  // namespace heed::viz
