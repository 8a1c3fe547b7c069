// Which device a kernel call runs on: that of the arrays among its arguments, all on one device.
//
// A struct that holds arrays lists them beside its declaration, and each is then inspected:
//
//   template <class Problem, class F>     // Problem: AttentionProblem or a const one
//     requires std::same_as<std::remove_const_t<Problem>, AttentionProblem>
//   void arrays_of(Problem& p, F&& f) { f(p.q), f(p.k), ...; }
//
// A struct without such an overload does not compile as an argument, unless it cannot hold an
// array.
#pragma once

#include <span>
#include <type_traits>
#include <vector>

#include <heed/core/array.h>

namespace heed::kernels {

// Calls f with each array of a kernel's argument.
template <class T, class F>
void each_array(T& argument, F&& f) {
  using Plain = std::remove_cv_t<T>;
  if constexpr (std::is_same_v<Plain, Array>) {
    f(argument);
  } else if constexpr (std::is_same_v<Plain, std::span<const Array>>) {
    for (const Array& array : argument) f(array);
  } else if constexpr (requires { arrays_of(argument, f); }) {
    arrays_of(argument, f);
  } else {
    static_assert(std::is_trivially_copyable_v<Plain> || std::is_same_v<Plain, Shape>,
                  "an argument that may hold arrays needs an overload of arrays_of");
    static_assert(!std::is_pointer_v<Plain> || !std::is_convertible_v<Plain, const Array*>,
                  "pass several arrays as std::span<const Array>");
  }
}

template <class T>
bool all_on_cpu(const T& argument) {
  bool all = true;  // an undefined array counts as there
  each_array(argument, [&](const Array& a) { all &= a.device().type == Device::Type::cpu; });
  return all;
}

[[noreturn]] void fail_mixed_devices(const char* kernel, Device a, Device b);
// DeviceError if the CPU's kernels do not serve the device.
void require_cpu_kernels(Device device, const char* kernel);

// The device of the arguments' arrays. DeviceError names both devices if there are two.
template <class... T>
Device common_device(const char* kernel, const T&... arguments) {
  const Array* first = nullptr;
  auto look = [&](const Array& a) {
    if (!a.defined()) return;
    if (!first) first = &a;
    else if (!(a.device() == first->device()))
      fail_mixed_devices(kernel, first->device(), a.device());
  };
  (each_array(arguments, look), ...);
  return first ? first->device() : kCpu;
}

// The argument with its arrays as CPU kernels can access them.
template <class T>
auto host_argument(const T& argument) {
  if constexpr (std::is_same_v<T, std::span<const Array>>) {
    std::vector<Array> views;
    for (const Array& a : argument) views.push_back(a.host_view());
    return views;
  } else {
    T copy = argument;
    each_array(copy, [](Array& a) { a = a.host_view(); });
    return copy;
  }
}

}  // namespace heed::kernels
