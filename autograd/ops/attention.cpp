#include <heed/autograd/ops/attention.h>

namespace heed {

Tensor fused_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                       const AttentionTerms& terms, const FusedAttentionOptions& options) {
  return fused_attention_reference(q, k, v, terms, options);
}

}  // namespace heed
