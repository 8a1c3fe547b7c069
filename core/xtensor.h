// xtensor with heed: the host-side array language for users, data pipelines and naive references.
// The only header that includes xtensor, and included by no other: link `heed::xtensor`.
//
//   heed::Array a = heed::from_xtensor(xt::linspace<float>(0, 1, 6).reshape({2, 3}) * 2);
//   auto view = heed::as_xtensor<float>(a);   // no copy: keep `a` alive, it sees what changes
//
// Nothing of xtensor is in heed's compiled interface, so XTENSOR_USE_XSIMD may be on or off.
#pragma once

#if __has_include(<xtensor/containers/xadapt.hpp>)
#include <xtensor/containers/xadapt.hpp>  // 0.26 and later
#include <xtensor/containers/xarray.hpp>
#else
#include <xtensor/xadapt.hpp>
#include <xtensor/xarray.hpp>
#endif

#include <algorithm>
#include <vector>

#include <heed/core/array.h>

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
template <class T>
auto as_xtensor(const Array& array) {
  std::vector<std::size_t> shape(array.shape().begin(), array.shape().end());
  std::vector<std::ptrdiff_t> strides(array.strides().begin(), array.strides().end());
  for (std::size_t i = 0; i < shape.size(); ++i)
    if (shape[i] == 1) strides[i] = 0;  // xtensor's rule for axes of size one
  return xt::adapt(array.data<T>(), static_cast<std::size_t>(array.numel()), xt::no_ownership(),
                   shape, strides);
}

}  // namespace heed
