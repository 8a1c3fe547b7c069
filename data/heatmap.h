// Attention maps as pictures: one map or a grid of them (heads, layers), rows are queries, columns
// keys.
//
//   AttentionMap map{weights, "layer 2, head 1", target_words, source_words};   // weights [T, S]
//   write_heatmaps("attention.png", {map});
//
// A cell's colour goes from near white (0) to dark blue (`max`); its lightness falls evenly, so it
// reads in grey as well. Values outside are clamped, NaN is red. Labels stand left of the rows and
// upright above the columns.
#pragma once

#include <span>
#include <string>
#include <vector>

#include <heed/core/array.h>
#include <heed/data/draw.h>

namespace heed::data {

struct AttentionMap {
  Array weights;  // [T, S] f32, f64 or bf16, any strides
  std::string title{};
  std::vector<std::string> row_labels{};     // T of them, or none
  std::vector<std::string> column_labels{};  // S of them, or none
};

struct HeatmapOptions {
  int cell = 22;         // pixels on a side; labels need at least 9
  int grid_columns = 0;  // maps beside each other; 0: about as many as below each other
  double max = 1;        // the value of the darkest colour
  bool legend = true;
};

// 0 -> near white, 1 -> dark blue. Clamps; NaN gives red.
Color heat_color(double value);

// u8 [H, W, 3]. ShapeError, DTypeError: weights that are no [T, S] of floats, T, S >= 1; as many
// labels as rows or columns is not so. ValueError: no maps, options out of range, more than 2^26
// pixels.
Array draw_heatmaps(std::span<const AttentionMap> maps, const HeatmapOptions& options = {});
// The same to a PNG file. IoError.
void write_heatmaps(const std::string& path, std::span<const AttentionMap> maps,
                    const HeatmapOptions& options = {});
inline void write_heatmaps(const std::string& path, std::initializer_list<AttentionMap> maps,
                           const HeatmapOptions& options = {}) {
  write_heatmaps(path, std::span<const AttentionMap>(maps.begin(), maps.size()), options);
}

}  // namespace heed::data
