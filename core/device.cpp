#include <heed/core/device.h>

#include <sys/mman.h>

#include <array>
#include <atomic>
#include <charconv>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <vector>

#include <heed/core/allocator.h>
#include <heed/core/config.h>
#include <heed/core/error.h>
#include <heed/core/fork.h>
#include <heed/core/transfer.h>

namespace heed {
namespace {

class CpuMemory final : public DeviceMemory {
 public:
  std::string name() const override { return "cpu"; }
  void* allocate(size_t bytes) override {
    bool large = bytes >= Allocator::kLargeBlock;  // of huge pages, where the system has them
    size_t page = large ? Allocator::kLargeBlock : kAlignment;
    void* block = std::aligned_alloc(page, (bytes + page - 1) / page * page);
    if (block && large) madvise(block, bytes, MADV_HUGEPAGE);
    return block;
  }
  void free(void* block, size_t) override { std::free(block); }
  void to_device(void* target, const void* host, size_t bytes) override {
    std::memcpy(target, host, bytes);
  }
  void to_host(void* host, const void* source, size_t bytes) override {
    std::memcpy(host, source, bytes);
  }
  void within(void* target, const void* source, size_t bytes) override {
    std::memcpy(target, source, bytes);
  }
  void fill(void* target, unsigned char value, size_t bytes) override {
    std::memset(target, value, bytes);
  }

 private:
  static constexpr size_t kAlignment = 64;
};

constexpr const char* kTypeNames[Device::kTypes] = {"cpu", "cuda", "test"};

// What is known of a device; never destroyed, since arrays may outlive main.
struct Entry {
  std::atomic<Allocator*> allocator{nullptr};
  std::atomic<int64_t> to_device{0}, to_host{0};
};

Entry& entry_of(Device device) {
  static auto* table = [] {
    auto* all = new std::array<std::array<Entry, Device::kMostOfAType>, Device::kTypes>;
    (*all)[0][0].allocator = new Allocator(kCpu, *new CpuMemory);
    return all;
  }();
  return (*table)[static_cast<size_t>(device.type)][static_cast<size_t>(device.index)];
}

bool in_range(Device device) {
  return static_cast<int>(device.type) < Device::kTypes && device.index >= 0 &&
         device.index < Device::kMostOfAType;
}

struct Defaults {
  std::optional<Device> device;  // empty: HEED_DEVICE's, looked up at first use
  DType dtype = DType::f32;
};
thread_local Defaults defaults;

Device device_from_environment() {
  check_environment();
  Device device = parse_device(env_choice("HEED_DEVICE", {"cpu", "cuda"}, "cpu"));
  Allocator::of(device);
  return device;
}

}  // namespace

Allocator& Allocator::of(Device device) {
  Allocator* found =
      in_range(device) ? entry_of(device).allocator.load(std::memory_order_acquire) : nullptr;
  if (!found) {
    std::string known;
    for (Device d : devices()) known += str(known.empty() ? "" : ", ", to_string(d));
    throw DeviceError(str("there is no device ", to_string(device), "; there is: ", known));
  }
  return *found;
}

void register_device(Device device, DeviceMemory& memory) {
  if (!in_range(device) || device.type == Device::Type::cpu)
    throw ValueError(str("register_device: ", to_string(device), " cannot be registered"));
  Allocator* none = nullptr;
  auto* fresh = new Allocator(device, memory);
  if (entry_of(device).allocator.compare_exchange_strong(none, fresh)) return;
  delete fresh;
  throw ValueError(str("register_device: ", to_string(device), " is registered already"));
}

bool has_device(Device device) { return in_range(device) && entry_of(device).allocator.load(); }

std::vector<Device> devices() {
  std::vector<Device> found;
  for (int type = 0; type < Device::kTypes; ++type)
    for (int i = 0; i < Device::kMostOfAType; ++i) {
      Device device{static_cast<Device::Type>(type), static_cast<signed char>(i)};
      if (has_device(device)) found.push_back(device);
    }
  return found;
}

// Those that a fork has to unlock; never destroyed, as the table of devices.
static std::vector<Allocator*>& locked_allocators() {
  static auto* all = new std::vector<Allocator*>;
  return *all;
}
void lock_allocators() {
  for (Device device : devices()) {
    locked_allocators().push_back(&Allocator::of(device));
    locked_allocators().back()->lock();
  }
}
void unlock_allocators() {
  for (Allocator* each : locked_allocators()) each->unlock();
  locked_allocators().clear();
}

DeviceMemory& device_memory(Device device) { return Allocator::of(device).memory(); }

TransferCounts transfer_counts(Device device) {
  Allocator::of(device);
  Entry& entry = entry_of(device);
  return {entry.to_device.load(), entry.to_host.load()};
}

void copy_to_device(Device device, void* target, const void* host, size_t bytes) {
  device_memory(device).to_device(target, host, bytes);
  ++entry_of(device).to_device;
}

void copy_to_host(Device device, void* host, const void* source, size_t bytes) {
  device_memory(device).to_host(host, source, bytes);
  ++entry_of(device).to_host;
}

std::string to_string(Device device) {
  if (device == kCpu) return "cpu";
  if (!in_range(device)) return "an unknown device";
  return str(kTypeNames[static_cast<size_t>(device.type)], ":", static_cast<int>(device.index));
}

Device parse_device(std::string_view name) {
  for (int type = 0; type < Device::kTypes; ++type) {
    std::string_view rest = name, own = kTypeNames[type];
    if (!rest.starts_with(own)) continue;
    rest.remove_prefix(own.size());
    int index = 0;
    if (!rest.empty()) {
      if (type == 0 || rest[0] != ':') break;
      const char* end = rest.data() + rest.size();
      auto [stop, error] = std::from_chars(rest.data() + 1, end, index);
      if (error != std::errc() || stop != end || index < 0 || index >= Device::kMostOfAType) break;
    }
    return {static_cast<Device::Type>(type), static_cast<signed char>(index)};
  }
  throw ValueError(str("device: '", name, "' is not cpu, cuda or cuda:<number>"));
}

// An op that read a default could leave its operands' device.
static void require_no_op(const char* who) {
  if (*OpName::current())
    throw DeviceError(str(who, ": asked for inside the op ", OpName::current(),
                          ", which has to follow its operands"));
}

Device default_device() {
  require_no_op("default_device");
  if (!defaults.device) {
    static const Device from_environment = device_from_environment();
    defaults.device = from_environment;
  }
  return *defaults.device;
}
DType default_dtype() {
  require_no_op("default_dtype");
  return defaults.dtype;
}

DefaultDevice::DefaultDevice(Device device) : before_(default_device()) {
  Allocator::of(device);
  defaults.device = device;
}
DefaultDevice::~DefaultDevice() { defaults.device = before_; }

DefaultDType::DefaultDType(DType dtype) : before_(defaults.dtype) {
  if (!is_differentiable(dtype))
    throw DTypeError(str("DefaultDType: f32, f64 or bf16 expected, got ", dtype));
  defaults.dtype = dtype;
}
DefaultDType::~DefaultDType() { defaults.dtype = before_; }

}  // namespace heed
