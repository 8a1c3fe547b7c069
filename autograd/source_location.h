// Where in the user's program an op was called. Capturing takes return addresses only,
// microseconds; names are looked up when an error is reported. For autograd/ alone.
#pragma once

#include <string>

namespace heed::detail {

// The call stack as text, to be appended to a module path.
std::string capture_location();
// "; module encoder.layers.0; at train.cpp:31" from a module path with a captured stack. The line
// is that of the innermost frame outside namespace heed; without debug information it is left out.
std::string resolve_location(const std::string& where);

}  // namespace heed::detail
