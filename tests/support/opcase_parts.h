// Between the files of the OpCase harness.
#pragma once

#include <heed/core/random.h>
#include <heed/tests/support/opcase.h>

namespace heed::test {

std::vector<double> draw(const Operand& o, const Shape& shape, uint64_t seed);
Tensor tensor_of(const Values& values, DType dtype);
Values values_of(const Tensor& t);

}  // namespace heed::test
