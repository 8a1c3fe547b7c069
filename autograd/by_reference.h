// The gradients of a fused op through its reference, the same mathematics composed of primitives.
// It is run again on what forward saved and gives derivatives of any order, where the backward
// kernel gives only the first.
#pragma once

#include <array>
#include <utility>
#include <vector>

#include <heed/autograd/grad_mode.h>
#include <heed/autograd/vjp.h>

namespace heed {

namespace detail {
inline std::vector<Tensor> listed(const Tensor& t) { return {t}; }
inline std::vector<Tensor> listed(std::vector<Tensor> list) { return list; }
template <size_t N>
std::vector<Tensor> listed(const std::array<Tensor, N>& list) {
  return {list.begin(), list.end()};
}
// Aliases (engine.h) of those tensors that require a gradient.
std::vector<Tensor> aliases(const std::vector<Tensor>& tensors);
std::vector<Tensor> saved_inputs(const Vjp& v);  // constants unless needed, undefined if not saved
std::vector<Tensor> reference_gradients(const Vjp& v, const std::vector<Tensor>& results,
                                        const std::vector<Tensor>& at);
void add_all(Vjp& v, const std::vector<Tensor>& gradients);
}  // namespace detail

// The gradient of sum_k <v.cotangent(k), f(at)_k> by each tensor of `at` that requires one,
// undefined for the others. `f` takes a list like `at` and returns a Tensor, a std::array or a
// std::vector: its results stand for the first outputs of the op.
template <class F>
std::vector<Tensor> reference_gradients(const Vjp& v, F&& f, const std::vector<Tensor>& at) {
  GradMode on(true);
  std::vector<Tensor> in = detail::aliases(at);
  return detail::reference_gradients(v, detail::listed(f(in)), in);
}

// The whole vjp: `f` gets one tensor per input, undefined if it was not saved (inputs that need
// gradients must be saved), and the gradients go to the inputs.
template <class F>
void by_reference(Vjp& v, F&& f) {
  detail::add_all(v, reference_gradients(v, std::forward<F>(f), detail::saved_inputs(v)));
}

}  // namespace heed
