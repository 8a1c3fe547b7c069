#include <heed/autograd/ops/range_flag.h>

#include <map>
#include <mutex>
#include <utility>

#include <heed/autograd/ops/views.h>
#include <heed/backends/copy.h>
#include <heed/backends/index.h>

namespace heed {
namespace {

// i64 [1]; never freed, since a device may be in use until the program ends.
const Array& flag_of(Device device) {
  static auto* mutex = new std::mutex;
  static auto* flags = new std::map<std::pair<Device::Type, int>, Array>;
  std::lock_guard lock(*mutex);
  Array& flag = (*flags)[{device.type, device.index}];
  if (!flag.defined()) flag = Array::zeros({1}, DType::i64, device);
  return flag;
}

}  // namespace

void flag_out_of_range(const Array& index, int64_t size, int64_t allowed) {
  kernels::flag_bad_index(index, size, allowed, flag_of(index.device()));
}

bool out_of_range_seen(Device device) {
  if (device == kCpu) return false;
  const Array& flag = flag_of(device);
  bool seen = *flag.to(kCpu).data<int64_t>() != 0;
  if (seen) kernels::fill(flag, 0);
  return seen;
}

void refuse_out_of_range(const char* who, Device device) {
  if (out_of_range_seen(device))
    throw ValueError(str(who, ": an index or target was out of range on ", to_string(device),
                         ", here or since the host last asked; the CPU names it: run it there"));
}

Tensor checked_index(const char* op, const Tensor& index, int64_t size) {
  if (index.dtype() != DType::i64 && index.dtype() != DType::i32)
    throw DTypeError(str(op, ": indices are i64 or i32, got ", index.dtype()));
  Tensor checked = contiguous(cast(index.detach(), DType::i64));
  if (checked.device() != kCpu) {
    flag_out_of_range(checked.array(), size, 0);
    return checked;
  }
  int64_t bad = kernels::first_bad_index(checked.array(), size);
  if (bad < 0) return checked;
  Shape place = index.shape();
  for (int64_t i = place.rank() - 1, rest = bad; i >= 0; --i) {
    int64_t& size_here = place[static_cast<int>(i)];
    int64_t at = rest % size_here;
    rest /= size_here;
    size_here = at;
  }
  throw ValueError(str(op, ": index ", checked.array().data<int64_t>()[bad], " at ", place, " of ",
                       index.shape(), " is outside [0, ", size, ")"));
}

}  // namespace heed
