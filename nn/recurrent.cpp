#include <heed/nn/recurrent.h>

#include <cmath>

#include <heed/autograd/ops/elementwise.h>
#include <heed/autograd/ops/index.h>
#include <heed/autograd/ops/matmul.h>
#include <heed/autograd/ops/views.h>
#include <heed/core/error.h>
#include <heed/nn/attention/mask.h>
#include <heed/nn/init.h>

namespace heed::nn {

RecurrentKind recurrent_kind_from_name(const std::string& name) {
  if (name == "gru") return RecurrentKind::gru;
  if (name == "lstm") return RecurrentKind::lstm;
  throw ValueError(str("Recurrent: unknown cell '", name, "'; there are gru, lstm"));
}

void RecurrentState::select(const std::vector<int64_t>& rows) {
  RecurrentState next{index_select(h, 0, rows), c.defined() ? index_select(c, 0, rows) : Tensor()};
  *this = next;
}

void RecurrentState::to(Device device) {
  RecurrentState moved{h.to(device), c.defined() ? c.to(device) : Tensor()};
  *this = moved;
}

Recurrent::Recurrent(RecurrentKind kind, int64_t in, int64_t hidden, bool bidirectional)
    : kind_(kind), in_(in), hidden_(hidden), bidirectional_(bidirectional) {
  if (in < 1 || hidden < 1)
    throw ValueError(str("Recurrent: sizes must be positive, got in ", in, ", hidden ", hidden));
  int64_t gates = (kind == RecurrentKind::gru ? 3 : 4) * hidden;
  double bound = 1 / std::sqrt(static_cast<double>(hidden));
  auto make = [&](Direction& d, const std::string& suffix) {
    d = {zeros({gates, in}), zeros({gates, hidden}), zeros({gates}), zeros({gates})};
    for (auto [name, tensor] : {std::pair{"weight_ih_l0", &d.weight_ih},
                                {"weight_hh_l0", &d.weight_hh},
                                {"bias_ih_l0", &d.bias_ih},
                                {"bias_hh_l0", &d.bias_hh}}) {
      init::uniform_(*tensor, -bound, bound);
      register_parameter(name + suffix, *tensor);
    }
  };
  make(forward_, "");
  if (bidirectional) make(backward_, "_reverse");
}

RecurrentState Recurrent::zero_state(int64_t batch, DType dtype) const {
  RecurrentState s;
  s.h = forward_.weight_hh.new_zeros({batch, out()}, dtype);
  if (kind_ == RecurrentKind::lstm) s.c = s.h.new_zeros({batch, out()});
  return s;
}

// from_x = W_ih x + b_ih [B, G h], computed for all tokens at once.
RecurrentState Recurrent::cell(const Direction& d, const Tensor& from_x,
                               const RecurrentState& s) const {
  Tensor from_h = linear(s.h, d.weight_hh, d.bias_hh);  // [B, G h]
  auto gate = [&](const Tensor& all, int64_t i) {
    return all.slice(1, i * hidden_, (i + 1) * hidden_);  // [B, h]
  };
  if (kind_ == RecurrentKind::gru) {
    Tensor rz = sigmoid(from_x.slice(1, 0, 2 * hidden_) + from_h.slice(1, 0, 2 * hidden_));
    Tensor r = gate(rz, 0), z = gate(rz, 1);                 // [B, h]
    Tensor n = tanh(gate(from_x, 2) + r * gate(from_h, 2));  // [B, h]
    return {n + z * (s.h - n), Tensor()};                    // (1 - z) n + z h
  }
  Tensor all = from_x + from_h;  // [B, 4 h]
  Tensor i = sigmoid(gate(all, 0)), f = sigmoid(gate(all, 1));
  Tensor g = tanh(gate(all, 2)), o = sigmoid(gate(all, 3));
  Tensor c = f * s.c + i * g;  // [B, h]
  return {o * tanh(c), c};
}

// `valid` bool [B, T] or undefined. A row keeps its state where it has no token. So the backward
// direction starts at a row's last token, and the final state is the one after it.
RecurrentOutput Recurrent::run(const Direction& d, const Tensor& x, const Tensor& valid,
                               const RecurrentState& start, bool backward) const {
  int64_t tokens = x.dim(1);
  Tensor from_x = linear(x, d.weight_ih, d.bias_ih);  // [B, T, G h]
  RecurrentState s = start;
  std::vector<Tensor> outputs(static_cast<size_t>(tokens));
  for (int64_t i = 0; i < tokens; ++i) {
    int64_t t = backward ? tokens - 1 - i : i;
    RecurrentState next = cell(d, select(from_x, 1, t), s);
    Tensor out = next.h;  // [B, h]
    if (valid.defined()) {
      Tensor here = valid.slice(1, t, t + 1);  // [B, 1]
      out = where(here, next.h, 0.0);
      next.h = where(here, next.h, s.h);
      if (next.c.defined()) next.c = where(here, next.c, s.c);
    }
    s = next;
    outputs[static_cast<size_t>(t)] = out;
  }
  if (outputs.empty()) return {x.new_zeros({x.dim(0), 0, hidden_}), s};
  return {stack(outputs, 1), s};  // [B, T, h]
}

RecurrentOutput Recurrent::forward(const Tensor& x, const Lengths& lengths,
                                   const RecurrentState& start) const {
  auto scope = enter();
  if (x.rank() != 3 || x.dim(2) != in_)
    throw ShapeError(str("Recurrent: x [B, T, ", in_, "] expected, got ", x.shape()));
  RecurrentState s = start.h.defined() ? start : zero_state(x.dim(0), x.dtype());
  bool lstm = kind_ == RecurrentKind::lstm;
  if (!(s.h.shape() == Shape{x.dim(0), out()}) || lstm != s.c.defined() ||
      (lstm && !(s.c.shape() == s.h.shape())))
    throw ShapeError(str("Recurrent: a state [", x.dim(0), ", ", out(), "] expected",
                         lstm ? ", h and c" : ", h alone", ", got ", s.h.shape()));
  Tensor clean = x, valid;
  Ranges tokens = ranges_of({}, lengths, x.dim(0), x.dim(1));
  if (!tokens.whole(x.dim(1))) {
    clean = Mask::key_padding(lengths).select_keys(x, 1);        // [B, T, in]
    valid = valid_positions({}, lengths, x.dim(1), x.device());  // [B, T]
  }
  if (!bidirectional_) return run(forward_, clean, valid, s, false);
  auto half = [&](int64_t i) {
    auto part = [&](const Tensor& t) {
      return t.defined() ? t.slice(1, i * hidden_, (i + 1) * hidden_) : t;
    };
    return RecurrentState{part(s.h), part(s.c)};
  };
  RecurrentOutput a = run(forward_, clean, valid, half(0), false);
  RecurrentOutput b = run(backward_, clean, valid, half(1), true);
  RecurrentState last{concat({a.state.h, b.state.h}, 1), Tensor()};  // [B, 2 h]
  if (lstm) last.c = concat({a.state.c, b.state.c}, 1);
  return {concat({a.output, b.output}, 2), last};  // [B, T, 2 h]
}

RecurrentState Recurrent::step(const Tensor& x, const RecurrentState& state) const {
  auto scope = enter();
  if (bidirectional_) throw ValueError("Recurrent: two directions cannot go token by token");
  if (x.rank() != 2 || x.dim(1) != in_)
    throw ShapeError(str("Recurrent: x [B, ", in_, "] expected, got ", x.shape()));
  return cell(forward_, linear(x, forward_.weight_ih, forward_.bias_ih), state);
}

std::string Recurrent::type_name() const {
  return str(kind_ == RecurrentKind::gru ? "GRU(" : "LSTM(", in_, ", ", hidden_,
             bidirectional_ ? ", bidirectional)" : ")");
}

}  // namespace heed::nn
