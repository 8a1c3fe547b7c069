// The first element of an array, as kernels take it: without the question of data(), which the op
// above has answered.
#pragma once

#include <heed/core/array.h>

namespace heed::kernels::HEED_ISA_NAMESPACE {

// nullptr where the array is undefined.
template <class T>
T* pointer(const Array& a) {
  return a.defined() ? static_cast<T*>(a.raw()) : nullptr;
}

}  // namespace heed::kernels::HEED_ISA_NAMESPACE
