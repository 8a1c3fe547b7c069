#include <heed/nn/embedding.h>

#include <heed/autograd/ops/index.h>
#include <heed/core/error.h>
#include <heed/nn/init.h>

namespace heed::nn {

Embedding::Embedding(int64_t count, int64_t width, int64_t padding_index)
    : padding_index_(padding_index) {
  if (count < 1 || width < 1)
    throw ValueError(str("Embedding: sizes must be positive, got ", count, " x ", width));
  if (padding_index < -1 || padding_index >= count)
    throw ValueError(
        str("Embedding: padding_index ", padding_index, " is not an id below ", count, ", nor -1"));
  weight = zeros({count, width});
  init::normal_(weight);
  if (padding_index >= 0) init::zeros_(weight.slice(0, padding_index, padding_index + 1));
  register_parameter("weight", weight);
}

Tensor Embedding::forward(const Tensor& ids) const {
  auto scope = enter();
  return embedding(weight, ids, padding_index_);  // [.., D]
}

std::string Embedding::type_name() const {
  return str("Embedding(", weight.dim(0), ", ", weight.dim(1), ")");
}

}  // namespace heed::nn
