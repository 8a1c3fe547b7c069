// The bitmap font of draw.h. Internal to data/.
#pragma once

#include <cstdint>

namespace heed::data {

struct Glyph {
  uint8_t rows[7];    // five bits each, the leftmost is 0x10
  bool below;         // stands two rows lower: g j p q y , ;
  bool dots = false;  // a diaeresis above
};

Glyph glyph(char32_t c);

}  // namespace heed::data
