#include <heed/core/plan.h>

#include <cstring>
#include <functional>
#include <list>
#include <mutex>
#include <string_view>

#include <heed/core/error.h>

namespace heed {
namespace {

struct Kept {
  size_t hash;
  Array host, copy;
  bool is(size_t other_hash, const Array& other, Device device) const {
    return hash == other_hash && copy.device() == device && host.dtype() == other.dtype() &&
           host.shape() == other.shape() && copy.storage().version() == 0 &&  // nobody wrote to it
           std::memcmp(host.raw(), other.raw(), static_cast<size_t>(other.bytes())) == 0;
  }
};

struct Plans {
  std::mutex mutex;
  std::list<Kept> kept;  // the one used last in front
  int64_t bytes = 0;

  Array find(size_t hash, const Array& host, Device device) {
    std::lock_guard lock(mutex);
    for (auto at = kept.begin(); at != kept.end(); ++at)
      if (at->is(hash, host, device)) {
        kept.splice(kept.begin(), kept, at);
        return at->copy;
      }
    return Array();
  }
  void keep(size_t hash, const Array& host, const Array& copy) {
    std::lock_guard lock(mutex);
    kept.push_front({hash, host, copy});
    bytes += host.bytes();
    while (kept.size() > kKeptPlans || bytes > kKeptPlanBytes) {
      bytes -= kept.back().host.bytes();
      kept.pop_back();
    }
  }
};

Plans& plans() {  // never destroyed, since a device may be in use until the program ends
  static auto* all = new Plans;
  return *all;
}

}  // namespace

Array plan_on(const Array& host, Device device) {
  if (host.device() != kCpu || !host.is_contiguous())
    throw ValueError("plan_on: a contiguous array on the CPU expected");
  if (device == kCpu) return host;
  if (host.bytes() == 0 || host.bytes() > kLargestPlan) return host.to(device);
  const size_t hash = std::hash<std::string_view>{}(
      {static_cast<const char*>(host.raw()), static_cast<size_t>(host.bytes())});
  Array copy = plans().find(hash, host, device);
  if (copy.defined()) return copy;
  copy = host.to(device);
  plans().keep(hash, host, copy);
  return copy;
}

}  // namespace heed
