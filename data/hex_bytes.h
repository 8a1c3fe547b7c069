// Bytes as error messages show them: "89 50 4e 47". Internal to data/.
#pragma once

#include <string>
#include <string_view>

namespace heed::data {

inline std::string hex_bytes(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (unsigned char c : bytes)
    out.append(out.empty() ? "" : " ").append({kDigits[c >> 4], kDigits[c & 15]});
  return out;
}

}  // namespace heed::data
