// How a convolution is brought to products of small matrices without a column matrix. All strides
// are taken out by packing: every stride-th element of the padded source goes to a plane of its
// own (a phase), so that each tap of the kernel reads one plane at a constant shift:
//
//   result[m] = sum over channels and taps of weight * packed[phase][m + shift]
//
// A row of packed elements is `margin` longer than a row of results. What a vector's lanes are
// depends on the number of channels. If a group has at least a vector of them, lanes are channels
// (conv_by_channels.h) and a block is a list of places. With fewer, lanes are places
// (conv_by_places.h): vectors run over the rows of a plane as one flat stretch, and lanes that fall
// on a margin are dropped when results are stored.
//
// The gradient by the input is the same with other taps: for each residue of the input's index
// modulo the stride, the results are a convolution of the cotangent with every stride-th tap.
//
// Planned once per call, for all instruction-set levels (cpu/common/conv_plan.cpp): plain numbers.
#pragma once

#include <cstdint>

#include <heed/core/parallel.h>

namespace heed::kernels::common {

// One axis of a convolution as the caller knows it: `source` is the axis that is read. residue < 0:
// a convolution; otherwise the gradient by its input, of the elements with (index + padding) %
// stride == residue.
struct ConvAxis {
  int64_t source, result, kernel, stride, padding, dilation, residue;
};

struct ConvRequest {
  ConvAxis axis[3];
  int64_t batch, groups, source_channels, result_channels;  // channels of one group
  int64_t lanes, element_bytes;
  bool by_channels;  // lanes are channels of the result
};

struct ConvTap {
  int64_t index, phase, shift;  // index: in the kernel
};

// One axis, planned. Packed element r of a phase is source element r * step + start[phase];
// result m is element place + m * place_step of the axis that is written.
struct ConvSteps {
  int64_t count, place, place_step;  // results
  int64_t step, phases, margin;
  int64_t source;
  const int64_t* start;
  int64_t taps;
  const ConvTap* tap;
};

// `lanes` results: their operands stand at packed elements source, source + 1, ..
struct ConvVector {
  int64_t source;
  int64_t place;  // of the first result that is kept
  int64_t kept;
  bool dense;  // the results that are kept lie side by side
  bool wide;   // and as many elements as a vector has belong to this vector and those after it
};

// The vectors of a block. For result i that vector v keeps: its lane, and where it goes;
// for lane l: the result that it is, or -1.
struct ConvVectors {
  int64_t count;
  const ConvVector* vector;
  const int32_t *lane, *place, *result;  // [count, lanes]
};

// The results of a block: the packed element that each begins at, and where it goes. Those
// of a run, a row or the whole block, go to places `step` apart.
struct ConvPlaces {
  int64_t count, run, step;
  const int32_t *source, *place;
};

struct ConvPlan {
  ConvRequest request;
  ConvSteps depth, height, width;
  int64_t terms;          // products in a result: source channels times taps
  const int64_t* offset;  // [terms], of packed elements
  int64_t taps;           // of all axes
  const int64_t* tap;     // [taps]: index in the kernel
  bool taps_in_order;     // tap[i] is i, and there are no others in the kernel
  int64_t channel;        // elements of a channel of results
  // A plane of results is cut into blocks: some whole rows, or a part of one row, `columns` wide.
  int64_t rows, columns, row_blocks, column_blocks;
  int64_t row, plane;      // packed elements of a block's row, and of a phase's plane
  int64_t packed;          // packed elements of an image's block, a vector of zeros at the end
  int64_t images, stacks;  // images of a task, and how many such stacks there are
  int64_t tasks;           // stacks x groups x depth x blocks of rows x blocks of columns
  bool source_as_it_is;    // packing would only copy: a group's channels are read where they lie
  // Of a block, and of the last of a plane's or row's blocks: places if lanes are channels, else
  // vectors.
  ConvPlaces full_places, last_places;
  ConvVectors full, last;
};

// Calls f with the plan; not at all if there are no results.
void with_conv_plan(const ConvRequest& request, FunctionRef<void(const ConvPlan&)> f);

// What a task works on: a block, from result (row, column) on, of some images.
struct ConvTask {
  int64_t first_image, images, group, depth, row, column;
  bool last;  // which lists are its own
};
ConvTask conv_task(const ConvPlan& plan, int64_t index);

}  // namespace heed::kernels::common
