#include <heed/core/memory.h>

#include <sys/mman.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <mutex>
#include <new>
#include <vector>

#include <heed/core/error.h>
#include <heed/core/live_bytes.h>

namespace heed {

thread_local constinit const char* OpName::current_ = "";

namespace {
constexpr size_t kHeader = 64;
constexpr size_t kSmallest = 256;  // block size of class 0
constexpr size_t kHugePage = size_t{2} << 20;
constexpr int kStepsPerOctave = 4;  // at most 25 % of a block is unused
constexpr int kClasses = 45 * kStepsPerOctave;
static_assert(sizeof(Storage) <= kHeader);

size_t block_size(int size_class) {
  size_t octave = kSmallest << (size_class / kStepsPerOctave);
  return octave + octave / kStepsPerOctave * (size_class % kStepsPerOctave);
}

int class_of(size_t block) {  // the smallest class that holds `block` bytes
  if (block <= kSmallest) return 0;
  int octave = std::bit_width((block - 1) / kSmallest) - 1;
  size_t base = kSmallest << octave, step = base / kStepsPerOctave;
  return octave * kStepsPerOctave + static_cast<int>((block - base + step - 1) / step);
}
}  // namespace

class Allocator {
 public:
  static Allocator& get() {
    static auto* instance = new Allocator;  // never destroyed: arrays may outlive main
    return *instance;
  }

  Storage* take(size_t bytes, Device device) {
    if (device.type != Device::Type::cpu)
      throw DeviceError(str("allocate: no memory of ", device, " in this build"));
    if (bytes > (size_t{1} << 46)) out_of_memory(bytes);
    int cls = class_of(bytes + kHeader);
    void* block = nullptr;
    std::lock_guard lock(mutex_);
    // A large block may serve a request of half its size: better than a fresh page fault each 4
    // KiB.
    int last = block_size(cls) >= kHugePage ? cls + kStepsPerOctave : cls;
    for (int c = cls; c <= last && !block; ++c)
      if (!free_[c].empty()) {
        block = free_[c].back();
        free_[c].pop_back();
        cls = c;
      }
    if (!block) block = from_system(cls, bytes);
    auto* storage = new (block) Storage;
    storage->data_ = static_cast<char*>(block) + kHeader;
    storage->bytes_ = bytes;
    storage->size_class_ = cls;
    live_bytes_ += static_cast<int64_t>(bytes);
    stats_.current_bytes += static_cast<int64_t>(block_size(cls));
    stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.current_bytes);
    return storage;
  }

  void give_back(Storage* storage) {
    int cls = storage->size_class_;
    auto bytes = static_cast<int64_t>(storage->bytes_);
    storage->~Storage();
    std::lock_guard lock(mutex_);
    live_bytes_ -= bytes;
    stats_.current_bytes -= static_cast<int64_t>(block_size(cls));
    free_[cls].push_back(storage);
  }

  void release_cached() {
    std::lock_guard lock(mutex_);
    release_locked();
  }

  MemoryStats stats() {
    std::lock_guard lock(mutex_);
    return stats_;
  }
  int64_t live_bytes() {
    std::lock_guard lock(mutex_);
    return live_bytes_;
  }
  void reset_peak() {
    std::lock_guard lock(mutex_);
    stats_.peak_bytes = stats_.current_bytes;
  }
  void set_limit(int64_t bytes) {
    std::lock_guard lock(mutex_);
    limit_ = bytes;
  }

 private:
  void release_locked() {
    for (int c = 0; c < kClasses; ++c) {
      for (void* block : free_[c]) std::free(block);
      stats_.reserved_bytes -= static_cast<int64_t>(block_size(c) * free_[c].size());
      free_[c].clear();
    }
  }

  void* from_system(int cls, size_t bytes) {
    size_t size = block_size(cls);
    auto over = [&] {
      return limit_ && stats_.reserved_bytes + static_cast<int64_t>(size) > limit_;
    };
    if (over()) release_locked();
    if (over()) out_of_memory(bytes);
    bool huge = size >= kHugePage;
    void* block = std::aligned_alloc(huge ? kHugePage : kHeader,
                                     huge ? (size + kHugePage - 1) / kHugePage * kHugePage : size);
    if (!block) {
      release_locked();
      block = std::aligned_alloc(kHeader, size);
    }
    if (!block) out_of_memory(bytes);
    if (huge) madvise(block, size, MADV_HUGEPAGE);
    stats_.reserved_bytes += static_cast<int64_t>(size);
    ++stats_.real_allocations;
    return block;
  }

  [[noreturn]] void out_of_memory(size_t bytes) {
    std::string op = *OpName::current() ? str(" in ", OpName::current()) : "";
    throw OutOfMemoryError(str("out of memory", op, ": ", bytes, " bytes asked for, ",
                               stats_.current_bytes, " in use on cpu"));
  }

  std::mutex mutex_;
  std::vector<void*> free_[kClasses + kStepsPerOctave];
  MemoryStats stats_;
  int64_t live_bytes_ = 0;
  int64_t limit_ = 0;
};

Ref<Storage> Storage::allocate(size_t bytes, Device device) {
  return Ref<Storage>(Allocator::get().take(bytes, device));
}
void destroy(Storage* storage) { Allocator::get().give_back(storage); }

MemoryStats memory_stats(Device) { return Allocator::get().stats(); }
int64_t live_bytes(Device) { return Allocator::get().live_bytes(); }
void reset_peak_memory(Device) { Allocator::get().reset_peak(); }
void release_cached_memory(Device) { Allocator::get().release_cached(); }
void set_memory_limit(int64_t bytes, Device) { Allocator::get().set_limit(bytes); }

std::string to_string(Device device) {
  return device.type == Device::Type::cpu ? "cpu" : str("cuda:", static_cast<int>(device.index));
}

}  // namespace heed
