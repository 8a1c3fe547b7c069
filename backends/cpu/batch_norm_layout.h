// How batch norm goes over x [B, C, S]: in rows, stretches of one channel of one sample that fit
// the first cache. A thread reduces and then writes a few channels at a time: so few that the
// second pass finds them in a cache, where the batch allows, and so many that what lies side by
// side is worth fetching ahead (one channel of 28 x 28 at a time takes twice as long).
#pragma once

#include <heed/backends/cpu/moments.h>
#include <heed/core/array.h>
#include <heed/core/parallel.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

struct ChannelLayout {
  static constexpr int64_t kRun = 32 * 1024;    // bytes side by side
  static constexpr int64_t kMostChannels = 64;  // of a group

  int64_t batch, channels, size, pieces;  // pieces: rows of one channel of one sample
  int64_t group;                          // channels of a group
  int64_t split;                          // parts that the rows of a channel are cut into

  ChannelLayout(const Shape& shape, int64_t element_bytes)
      : batch(shape[0]),
        channels(shape[1]),
        size(shape[2]),
        pieces((size + kMomentsRow - 1) / kMomentsRow) {
    const int64_t bytes = size * element_bytes;
    group = bytes == 0 ? 1 : (kRun + bytes - 1) / bytes;
    group = group > kMostChannels ? kMostChannels : group;
    // Whole channels to a thread where that is fair; otherwise each is cut, at the price of one
    // more read from memory.
    const int64_t threads = num_threads();
    const bool fair = channels >= 4 * threads || channels % threads == 0;
    const bool small = batch * channels * size < 2 * kNormGrain;
    split = fair || small ? 1 : threads < rows() ? threads : rows();
  }
  int64_t rows() const { return batch * pieces; }  // of a channel
  int64_t count() const { return batch * size; }

  // f(channel, offset, numbers) for the rows [begin, end) of channels [from, to).
  template <class F>
  void each_row(int64_t from, int64_t to, int64_t begin, int64_t end, F&& f) const {
    for (int64_t r = begin; r < end; ++r) {
      const int64_t sample = r / pieces, piece = r % pieces;
      const int64_t first = size * piece / pieces, last = size * (piece + 1) / pieces;
      for (int64_t c = from; c < to; ++c)
        f(c, (sample * channels + c) * size + first, last - first);
    }
  }

  // Reduces each channel to a Total and then writes. reduce(channel, offset, n, total) is called
  // for each row, finish(channel, total) once all parts are merged, then write(channel, offset, n)
  // for each row.
  template <class Total, class Reduce, class Finish, class Write>
  void run(Total* scratch, Reduce reduce, Finish finish, Write write) const {
    const int64_t of_channel = count() > 0 ? count() : 1;
    if (split <= 1)
      return parallel_for(channels, 1 + kNormGrain / of_channel, [&](int64_t begin, int64_t end) {
        for (int64_t from = begin; from < end; from += group) {
          const int64_t to = from + group < end ? from + group : end;
          Total totals[kMostChannels] = {};
          each_row(from, to, 0, rows(), [&](int64_t c, int64_t offset, int64_t n) {
            reduce(c, offset, n, totals[c - from]);
          });
          for (int64_t c = from; c < to; ++c) finish(c, totals[c - from]);
          each_row(from, to, 0, rows(), write);
        }
      });
    auto each_part = [&](auto f) {
      parallel_for(channels * split, 1, [&](int64_t begin, int64_t end) {
        for (int64_t p = begin; p < end; ++p) {
          const int64_t c = p / split, k = p % split;
          f(p, c, rows() * k / split, rows() * (k + 1) / split);
        }
      });
    };
    each_part([&](int64_t p, int64_t c, int64_t begin, int64_t end) {
      scratch[p] = Total();
      each_row(c, c + 1, begin, end, [&](int64_t channel, int64_t offset, int64_t n) {
        reduce(channel, offset, n, scratch[p]);
      });
    });
    for (int64_t c = 0; c < channels; ++c) {
      Total total = scratch[c * split];
      for (int64_t k = 1; k < split; ++k) total.merge(scratch[c * split + k]);
      finish(c, total);
    }
    each_part([&](int64_t, int64_t c, int64_t begin, int64_t end) {
      each_row(c, c + 1, begin, end, write);
    });
  }
  template <class Total>
  int64_t scratch_bytes() const {
    return split <= 1 ? 0 : channels * split * static_cast<int64_t>(sizeof(Total));
  }
};

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
