#include <heed/backends/device_dispatch.h>

#include <heed/core/device_memory.h>

namespace heed::kernels {

static const char* op_or(const char* kernel) {
  return *OpName::current() ? OpName::current() : kernel;
}

void fail_mixed_devices(const char* kernel, Device a, Device b) {
  throw DeviceError(str(op_or(kernel), ": operands on two devices, ", to_string(a), " and ",
                        to_string(b), "; move them to one with to(device)"));
}

void require_cpu_kernels(Device device, const char* kernel) {
  if (!device_memory(device).served_by_cpu())
    throw DeviceError(
        str(op_or(kernel), ": this build of heed has no kernels for ", to_string(device)));
}

}  // namespace heed::kernels
