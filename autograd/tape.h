// How an op is recorded on the tape, and the one include that an op's source needs. An op is a
// struct:
//
//   struct Exp {
//     static constexpr const char* name = "exp";
//     static constexpr unsigned saves = kOutput;             // what vjp will ask for
//     Array forward(Inputs in);                              // shape rule and kernel
//     void vjp(Vjp& v) { v.add(0, v.cotangent() * v.output()); }  // exp(x)' = exp(x)
//   };
//   Tensor exp(const Tensor& x) { return apply(Exp{}, x); }
//
// vjp written with Tensor functions gives derivatives of any order. A fused op, whose vjp calls a
// kernel, starts with `if (v.create_graph()) return by_reference(v, ...)`.
//
// An op with N results returns std::array<Array, N>, and `apply` then std::array<Tensor, N>:
//
//   struct Sort {
//     static constexpr unsigned saves = output_bit(1);
//     std::array<Array, 2> forward(Inputs in);               // values; indices, i64
//     void vjp(Vjp& v) { v.add(0, scatter(v.cotangent(0), v.output(1))); }
//   };
//   auto [values, indices] = apply(Sort{}, x);
//
// An op without `saves` and `vjp` has no gradient: applied to a tensor that requires one, it is a
// GradError.
//
// vjp runs once a gradient has arrived at any output; v.cotangent(k) is undefined for outputs
// without one (see `cotangent_or_zeros`). An integer output is a constant and gets none.
#pragma once

#include <heed/autograd/apply.h>
#include <heed/autograd/by_reference.h>
#include <heed/autograd/vjp.h>
