#include <heed/core/plan.h>

#include <cstring>
#include <functional>
#include <list>
#include <mutex>
#include <string_view>

namespace heed {
namespace {

struct Kept {
  size_t hash;
  Array host, copy;
  bool is(size_t other_hash, const Array& other, Device device) const {
    return hash == other_hash && copy.device() == device && host.dtype() == other.dtype() &&
           host.shape() == other.shape() &&
           std::memcmp(host.raw(), other.raw(), static_cast<size_t>(other.bytes())) == 0;
  }
};

struct Plans {
  std::mutex mutex;
  std::list<Kept> kept;  // the one used last in front
  int64_t bytes = 0;
};

Plans& plans() {  // never destroyed, since a device may be in use until the program ends
  static auto* all = new Plans;
  return *all;
}

}  // namespace

Array plan_on(const Array& host, Device device) {
  if (device == kCpu) return host;
  if (host.bytes() == 0 || host.bytes() > kKeptPlanBytes) return host.to(device);
  const size_t hash = std::hash<std::string_view>{}(
      {static_cast<const char*>(host.raw()), static_cast<size_t>(host.bytes())});
  Plans& all = plans();
  std::lock_guard lock(all.mutex);
  for (auto at = all.kept.begin(); at != all.kept.end(); ++at)
    if (at->is(hash, host, device)) {
      all.kept.splice(all.kept.begin(), all.kept, at);
      return at->copy;
    }
  all.kept.push_front({hash, host, host.to(device)});
  all.bytes += host.bytes();
  while (all.kept.size() > kKeptPlans || all.bytes > kKeptPlanBytes) {
    all.bytes -= all.kept.back().host.bytes();
    all.kept.pop_back();
  }
  return all.kept.front().copy;
}

}  // namespace heed
