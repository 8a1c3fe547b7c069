// xtensor with heed: the host-side array language for users, data pipelines and naive references.
// The only header that includes xtensor, and included by no other: by .cpp files of data/, tests/
// and users, who link `heed::xtensor`.
//
//   heed::Array a = heed::from_xtensor(xt::linspace<float>(0, 1, 6).reshape({2, 3}) * 2);
//   auto view = heed::as_xtensor<float>(a);      // no copy: keep `a` alive, it sees what changes
//   auto fast = heed::as_xtensor<float, 2>(a);   // rank known to the compiler: many times faster
//
// Nothing of xtensor is in heed's compiled interface, so XTENSOR_USE_XSIMD may be on or off.
#pragma once

#if __has_include(<xtensor/containers/xadapt.hpp>)  // 0.26 and later
#include <xtensor/containers/xadapt.hpp>
#include <xtensor/containers/xarray.hpp>
#include <xtensor/containers/xtensor.hpp>
#include <xtensor/core/xmath.hpp>
#include <xtensor/core/xnoalias.hpp>
#include <xtensor/generators/xbuilder.hpp>
#include <xtensor/misc/xmanipulation.hpp>
#include <xtensor/misc/xsort.hpp>
#include <xtensor/views/xview.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#include <xtensor/xbuilder.hpp>
#include <xtensor/xmanipulation.hpp>
#include <xtensor/xmath.hpp>
#include <xtensor/xnoalias.hpp>
#include <xtensor/xsort.hpp>
#include <xtensor/xtensor.hpp>
#include <xtensor/xview.hpp>
#endif

#include <algorithm>
#include <array>
#include <vector>

#include <heed/core/array.h>
#include <heed/core/error.h>

namespace heed {

// The expression evaluated into a new row-major array of its value type.
template <class E>
Array from_xtensor(const xt::xexpression<E>& expression) {
  const E& e = expression.derived_cast();
  using T = std::decay_t<typename E::value_type>;
  Shape shape;
  for (auto size : e.shape()) shape.push_back(static_cast<int64_t>(size));
  Array out = Array::empty(shape, dtype_of<T>(), kCpu);
  std::copy(e.template begin<xt::layout_type::row_major>(),
            e.template end<xt::layout_type::row_major>(), out.data<T>());
  return out;
}

// A view of the array's memory, strides included; DTypeError when T is not its dtype.
// (Its fill() goes through memory, not by strides: if not row-major, assign to an xt::view of it.)
template <class T>
auto as_xtensor(const Array& array) {
  std::vector<std::size_t> shape(array.shape().begin(), array.shape().end());
  std::vector<std::ptrdiff_t> strides(array.strides().begin(), array.strides().end());
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] == 1) strides[i] = 0;  // xtensor's rule for axes of size one
  return xt::adapt(array.data<T>(), static_cast<std::size_t>(array.numel()), xt::no_ownership(),
                   shape, strides);
}

// The same of N axes; ShapeError when the array has another number of them.
template <class T, std::size_t N>
auto as_xtensor(const Array& array) {
  if (array.rank() != static_cast<int>(N))
    throw ShapeError(str("as_xtensor: ", N, " axes expected, got ", array.shape()));
  std::array<std::size_t, N> shape;
  std::array<std::ptrdiff_t, N> strides;
  for (std::size_t i = 0; i < N; ++i) {
    shape[i] = static_cast<std::size_t>(array.dim(static_cast<int>(i)));
    strides[i] = shape[i] == 1 ? 0 : array.strides()[static_cast<int>(i)];
  }
  return xt::adapt(array.data<T>(), static_cast<std::size_t>(array.numel()), xt::no_ownership(),
                   shape, strides);
}

}  // namespace heed
