#include <heed/core/memory.h>

#include <algorithm>
#include <bit>
#include <mutex>
#include <vector>

#include <heed/core/allocator.h>
#include <heed/core/error.h>
#include <heed/core/live_bytes.h>

namespace heed {

thread_local constinit const char* OpName::current_ = "";

namespace {
constexpr size_t kSmallest = 256;  // block size of class 0
constexpr int kStepsPerOctave = Allocator::kStepsPerOctave;

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

Storage* Allocator::take(size_t bytes) {
  std::lock_guard lock(mutex_);
  if (bytes > (size_t{1} << 46)) out_of_memory(bytes);
  int cls = class_of(bytes);
  Storage* storage = nullptr;
  // A large block may serve a request of half its size: better than fresh pages from the system.
  int last = block_size(cls) >= kLargeBlock ? cls + kStepsPerOctave : cls;
  for (int c = cls; c <= last && !storage; ++c)
    if (!free_[c].empty()) {
      storage = free_[c].back();
      free_[c].pop_back();
    }
  if (!storage) storage = from_system(cls, bytes);
  storage->bytes_ = bytes;
  storage->version_ = 0;
  live_bytes_ += static_cast<int64_t>(bytes);
  stats_.current_bytes += static_cast<int64_t>(block_size(storage->size_class_));
  stats_.peak_bytes = std::max(stats_.peak_bytes, stats_.current_bytes);
  return storage;
}

void Allocator::give_back(Storage* storage) {
  std::lock_guard lock(mutex_);
  live_bytes_ -= static_cast<int64_t>(storage->bytes_);
  stats_.current_bytes -= static_cast<int64_t>(block_size(storage->size_class_));
  free_[storage->size_class_].push_back(storage);
}

void Allocator::release_locked() {
  for (std::vector<Storage*>& list : free_) {
    for (Storage* storage : list) {
      size_t size = block_size(storage->size_class_);
      memory_.free(storage->data_, size);
      stats_.reserved_bytes -= static_cast<int64_t>(size);
      delete storage;
    }
    list.clear();
  }
}

Storage* Allocator::from_system(int cls, size_t bytes) {
  size_t size = block_size(cls);
  auto over = [&] { return limit_ && stats_.reserved_bytes + static_cast<int64_t>(size) > limit_; };
  if (over()) release_locked();
  if (over()) out_of_memory(bytes);
  void* block = memory_.allocate(size);
  if (!block) {
    release_locked();
    block = memory_.allocate(size);
  }
  if (!block) out_of_memory(bytes);
  auto* storage = new Storage;
  storage->data_ = block;
  storage->size_class_ = cls;
  storage->owner_ = this;
  storage->device_ = device_;
  stats_.reserved_bytes += static_cast<int64_t>(size);
  ++stats_.real_allocations;
  return storage;
}

void Allocator::out_of_memory(size_t bytes) {
  std::string op = *OpName::current() ? str(" in ", OpName::current()) : "";
  std::string limit = limit_ ? str("; the limit is ", limit_) : "";
  throw OutOfMemoryError(str("out of memory", op, ": ", bytes, " bytes asked for, ",
                             stats_.current_bytes, " in use on ", to_string(device_), limit));
}

void Allocator::release_cached() {
  std::lock_guard lock(mutex_);
  release_locked();
}

MemoryStats Allocator::stats() {
  std::lock_guard lock(mutex_);
  return stats_;
}

int64_t Allocator::live_bytes() {
  std::lock_guard lock(mutex_);
  return live_bytes_;
}

void Allocator::reset_peak() {
  std::lock_guard lock(mutex_);
  stats_.peak_bytes = stats_.current_bytes;
}

void Allocator::set_limit(int64_t bytes) {
  std::lock_guard lock(mutex_);
  limit_ = bytes;
}

Ref<Storage> Storage::allocate(size_t bytes, Device device) {
  return Ref<Storage>(Allocator::of(device).take(bytes));
}
void destroy(Storage* storage) { storage->owner_->give_back(storage); }

MemoryStats memory_stats(Device device) { return Allocator::of(device).stats(); }
int64_t live_bytes(Device device) { return Allocator::of(device).live_bytes(); }
void reset_peak_memory(Device device) { Allocator::of(device).reset_peak(); }
void release_cached_memory(Device device) { Allocator::of(device).release_cached(); }
void set_memory_limit(int64_t bytes, Device device) { Allocator::of(device).set_limit(bytes); }

}  // namespace heed
