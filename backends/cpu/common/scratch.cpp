#include <heed/backends/cpu/scratch.h>
#include <heed/core/array.h>

namespace heed::kernels::common {

void with_scratch(int64_t bytes, FunctionRef<void(char*)> f) {
  if (bytes == 0) return f(nullptr);
  Array memory = Array::empty({bytes}, DType::u8, kCpu);
  f(static_cast<char*>(memory.raw()));
}

}  // namespace heed::kernels::common
