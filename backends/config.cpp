#include <heed/core/config.h>

#include <heed/backends/cpu/blas.h>
#include <heed/backends/kernel.h>
#include <heed/core/error.h>
#include <heed/core/parallel.h>

namespace heed {

std::string config() {
  IsaLevel level = isa_level();
  blas::setup();
  return str("device = cpu\ninstruction set = ", to_string(level),
             "\nblas core = ", blas::core_name(), "\nthreads = ", num_threads(), "\n");
}

}  // namespace heed
