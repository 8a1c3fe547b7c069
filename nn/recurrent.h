// Recurrent layers with PyTorch's formulas, parameter names and initial values.
//
//   GRU (Cho et al. 2014):          r = sigmoid(Wir x + bir + Whr h + bhr),  z likewise
//                                   n = tanh(Win x + bin + r * (Whn h + bhn))
//                                   h' = (1 - z) * n + z * h
//   LSTM (Hochreiter & Schmidhuber 1997):
//                                   i, f, o = sigmoid(Wi. x + bi. + Wh. h + bh.),  g = tanh(..)
//                                   c' = f * c + i * g,  h' = o * tanh(c')
//
//   nn::Recurrent gru(nn::RecurrentKind::gru, 64, 128, /*bidirectional=*/true);
//   auto [y, last] = gru.forward(x, lengths);   // [B, T, 64] -> [B, T, 256], last.h [B, 256]
//
// One layer. Parameters: weight_ih_l0 [G h, in], weight_hh_l0 [G h, h], bias_ih_l0, bias_hh_l0
// [G h], G = 3 (r, z, n) or 4 (i, f, g, o); the backward direction's end in _reverse. All start
// uniform in +-1 / sqrt(h).
#pragma once

#include <heed/core/lengths.h>
#include <heed/nn/module.h>

namespace heed::nn {

enum class RecurrentKind { gru, lstm };
RecurrentKind recurrent_kind_from_name(const std::string& name);  // gru, lstm; ValueError

struct RecurrentState {
  Tensor h;  // [B, h], or [B, 2 h] of both directions
  Tensor c;  // of the LSTM; undefined for the GRU

  // Row r becomes what row rows[r] was; repeats allowed, any count.
  void select(const std::vector<int64_t>& rows);
  void to(Device device);
};

struct RecurrentOutput {
  Tensor output;         // [B, T, h] or [B, T, 2 h]: forward and backward concatenated
  RecurrentState state;  // after the last token of each row (backward: after the first)
};

class Recurrent : public Module {
 public:
  Recurrent(RecurrentKind kind, int64_t in, int64_t hidden, bool bidirectional = false);

  // x [B, T, in]. Rows are valid up to their length; what follows, NaN included, affects nothing,
  // and outputs there are 0. `start`: zeros if undefined.
  RecurrentOutput forward(const Tensor& x, const Lengths& lengths = {},
                          const RecurrentState& start = {}) const;
  // One token: x [B, in] -> the new state, whose h is the output. Not for two directions.
  RecurrentState step(const Tensor& x, const RecurrentState& state) const;
  RecurrentState zero_state(int64_t batch, DType dtype) const;

  RecurrentKind kind() const { return kind_; }
  int64_t hidden() const { return hidden_; }
  int64_t out() const { return bidirectional_ ? 2 * hidden_ : hidden_; }
  std::string type_name() const override;

 private:
  struct Direction {
    Tensor weight_ih, weight_hh, bias_ih, bias_hh;
  };
  RecurrentState cell(const Direction& d, const Tensor& from_x, const RecurrentState& s) const;
  RecurrentOutput run(const Direction& d, const Tensor& x, const Tensor& valid,
                      const RecurrentState& start, bool backward) const;

  RecurrentKind kind_;
  int64_t in_, hidden_;
  bool bidirectional_;
  Direction forward_, backward_;
};

}  // namespace heed::nn
