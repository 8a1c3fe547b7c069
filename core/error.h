// Exceptions, and `str(...)`, which builds their messages.
//
//   if (a.rank() != 2) throw ShapeError(str("op: a matrix expected, got ", a.shape()));
//
// Every error that input can cause is one of these types; heed never aborts on input.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace heed {

// clang-format off
struct Error : std::runtime_error { using std::runtime_error::runtime_error; };
struct ShapeError : Error { using Error::Error; };        // sizes that do not fit
struct DTypeError : Error { using Error::Error; };        // an unsupported element type
struct DeviceError : Error { using Error::Error; };       // different or missing devices
struct ValueError : Error { using Error::Error; };        // argument, index or option out of range
struct GradError : Error { using Error::Error; };         // backward that cannot be done as asked
struct IoError : Error { using Error::Error; };           // files: names file, offset or line
struct OutOfMemoryError : Error { using Error::Error; };  // names the bytes asked for and the op
struct NumericError : Error { using Error::Error; };      // a value that is not finite
// clang-format on

namespace detail {
void append(std::string& out, std::string_view text);
void append(std::string& out, double number);  // shortest form that reads back the same
void append(std::string& out, int64_t number);
void append(std::string& out, uint64_t number);
inline void append(std::string& out, bool value) {
  append(out, std::string_view(value ? "true" : "false"));
}

template <class T>
void append_any(std::string& out, const T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    append(out, value);
  } else if constexpr (std::is_same_v<T, char>) {
    append(out, std::string_view(&value, 1));
  } else if constexpr (std::is_integral_v<T>) {
    if constexpr (std::is_signed_v<T>) append(out, static_cast<int64_t>(value));
    else append(out, static_cast<uint64_t>(value));
  } else if constexpr (std::is_floating_point_v<T>) {
    append(out, static_cast<double>(value));
  } else if constexpr (std::is_convertible_v<const T&, std::string_view>) {
    append(out, std::string_view(value));
  } else {
    append(out, std::string_view(to_string(value)));  // found by the argument's namespace
  }
}
}  // namespace detail

// The parts joined. Parts: text, numbers, and any type of heed with a `to_string`.
template <class... Parts>
std::string str(const Parts&... parts) {
  std::string out;
  (detail::append_any(out, parts), ...);
  return out;
}

}  // namespace heed
