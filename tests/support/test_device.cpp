#include <heed/tests/support/test_device.h>

#include <fcntl.h>
#include <linux/falloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstring>
#include <mutex>

#include <heed/core/device_memory.h>
#include <heed/core/error.h>

namespace heed::test {
namespace {

// One file in memory, mapped twice: arrays hold addresses of the mapping without access; kernels
// and copies use the other mapping, at a constant distance.
class TestMemory final : public DeviceMemory {
 public:
  TestMemory() : file_(memfd_create("heed test device", 0)) {
    if (file_ < 0 || ftruncate(file_, kSize) != 0)
      throw IoError("test device: no file in memory to be had");
    hidden_ = map(PROT_NONE);
    open_ = map(PROT_READ | PROT_WRITE);
  }

  std::string name() const override { return "memory that the host cannot read"; }
  void* allocate(size_t bytes) override {
    std::lock_guard lock(mutex_);
    size_t pages = (bytes + kPage - 1) / kPage * kPage;
    if (used_ + pages > kSize) return nullptr;
    char* block = hidden_ + used_;
    used_ += pages;
    std::memset(open(block), 0xFF, pages);  // NaN, or -1: shows reads before the first write
    return block;
  }
  // Returns the pages; the addresses are not used again, so that late reads find zeros.
  void free(void* block, size_t bytes) override {
    size_t pages = (bytes + kPage - 1) / kPage * kPage;
    fallocate(file_, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              static_cast<char*>(block) - hidden_, static_cast<off_t>(pages));
  }
  void to_device(void* target, const void* host, size_t bytes) override {
    std::memcpy(open(target), host, bytes);
  }
  void to_host(void* host, const void* source, size_t bytes) override {
    std::memcpy(host, open(source), bytes);
  }
  void within(void* target, const void* source, size_t bytes) override {
    std::memcpy(open(target), open(source), bytes);
  }
  void fill(void* target, unsigned char value, size_t bytes) override {
    std::memset(open(target), value, bytes);
  }
  bool served_by_cpu() const override { return true; }
  void* host_address(void* address) const override { return open(address); }

 private:
  static constexpr size_t kSize = size_t{64} << 30, kPage = 4096;

  char* map(int access) {
    void* start = mmap(nullptr, kSize, access, MAP_SHARED | MAP_NORESERVE, file_, 0);
    if (start == MAP_FAILED) throw IoError("test device: its memory cannot be mapped");
    return static_cast<char*>(start);
  }
  char* open(const void* address) const {
    return open_ + (static_cast<const char*>(address) - hidden_);
  }

  int file_;
  char *hidden_ = nullptr, *open_ = nullptr;
  std::mutex mutex_;
  size_t used_ = 0;
};

}  // namespace

Device test_device() {
  static const Device device = [] {
    Device d{Device::Type::test};
    register_device(d, *new TestMemory);  // never destroyed: arrays may outlive main
    return d;
  }();
  return device;
}

bool host_can_read(const void* address) {
  int ends[2];
  if (pipe(ends) != 0) throw IoError("host_can_read: no pipe");
  bool readable = write(ends[1], address, 1) == 1;  // EFAULT if there is no access
  close(ends[0]);
  close(ends[1]);
  return readable;
}

}  // namespace heed::test
