// Plans: small arrays that layers compute on the host, from lengths and shapes alone, for kernels
// to read: which tokens are valid, segments, positions, patterns, indices.
//
//   Array valid = ...;                               // on the CPU
//   Tensor mask(plan_on(valid, x.device()));
#pragma once

#include <heed/core/array.h>

namespace heed {

// `host` on the device. A plan is copied to a device once: later ones of the same dtype, shape and
// bytes, made in another layer or step, share the copy that is there, unless it was written to. The
// copies used last are kept, up to kKeptPlans of them and kKeptPlanBytes together; a plan above
// kLargestPlan is copied each time. On the CPU it is `host` itself. ValueError unless `host` is
// contiguous and on the CPU.
Array plan_on(const Array& host, Device device);

inline constexpr int64_t kLargestPlan = int64_t{8} << 20;  // bytes
inline constexpr size_t kKeptPlans = 256;
inline constexpr int64_t kKeptPlanBytes = int64_t{64} << 20;

}  // namespace heed
