// Intrusive reference counting: `struct Thing : RefCounted`, held by `Ref<Thing>`.
// One allocation per object and a pointer-sized handle; counts are atomic.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace heed {

class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;
  void retain() const { count_.fetch_add(1, std::memory_order_relaxed); }
  bool release() const { return count_.fetch_sub(1, std::memory_order_acq_rel) == 1; }
  int32_t use_count() const { return count_.load(std::memory_order_relaxed); }

 private:
  mutable std::atomic<int32_t> count_{0};
};

// Frees an object whose count reached zero; overload it for objects with their own allocator.
template <class T>
void destroy(T* object) {
  delete object;
}

template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}
  explicit Ref(T* p) : p_(p) {
    if (p_) p_->retain();
  }
  Ref(const Ref& o) : p_(o.p_) {
    if (p_) p_->retain();
  }
  Ref(Ref&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  template <class U>
  Ref(const Ref<U>& o) : Ref(static_cast<T*>(o.get())) {}
  Ref& operator=(Ref o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~Ref() {
    if (p_ && p_->release()) destroy(p_);
  }

  T* get() const { return p_; }
  T* operator->() const { return p_; }
  T& operator*() const { return *p_; }
  explicit operator bool() const { return p_ != nullptr; }
  bool operator==(const Ref& o) const { return p_ == o.p_; }

 private:
  T* p_ = nullptr;
};

}  // namespace heed
