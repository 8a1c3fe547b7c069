// Moving data: between strides and dtypes.
#pragma once

#include <heed/backends/kernel.h>

// Same shapes; any strides and dtypes. Floats to integers truncate; to bool, x becomes x != 0.
HEED_KERNEL(copy, void(const Array& source, const Array& target));
HEED_KERNEL(fill, void(const Array& target, double value));
