#include <heed/models/steppable.h>

#include <numeric>
#include <utility>

#include <heed/autograd/grad_mode.h>
#include <heed/core/error.h>

namespace heed::models {

int64_t DecodingInputs::rows() const {
  return source.defined() ? source.dim(0) : static_cast<int64_t>(prompts.size());
}

Decoding::Decoding(int64_t rows) : input_rows_(static_cast<size_t>(rows)) {
  std::iota(input_rows_.begin(), input_rows_.end(), int64_t{0});
}

Tensor Decoding::step(const Tensor& tokens) {
  if (tokens.rank() != 2 || tokens.dim(0) != rows() || tokens.dim(1) < 1)
    throw ShapeError(
        str("Decoding: tokens [", rows(), ", T] with T >= 1 expected, got ", tokens.shape()));
  NoGrad guard;
  Tensor logits = take_in(tokens, length_);  // [R, V]
  length_ += tokens.dim(1);
  return logits;
}

void Decoding::select(const std::vector<int64_t>& rows) {
  std::vector<int64_t> input_rows;
  bool same_rows = static_cast<int64_t>(rows.size()) == this->rows();
  for (size_t r = 0; r < rows.size(); ++r) {
    if (rows[r] < 0 || rows[r] >= this->rows())
      throw ValueError(str("Decoding: row ", rows[r], " asked for, there are ", this->rows()));
    input_rows.push_back(input_rows_[static_cast<size_t>(rows[r])]);
    same_rows = same_rows && rows[r] == static_cast<int64_t>(r);
  }
  if (same_rows) return;
  NoGrad guard;
  move_rows(rows, input_rows == input_rows_);
  input_rows_ = std::move(input_rows);
}

void Steppable::check_start(const DecodingInputs& inputs, bool needs_source) const {
  if (is_training())
    throw ValueError(type_name() + ": the model is in training mode: call eval() before");
  bool source = inputs.source.defined() && inputs.lengths.defined();
  if (needs_source && !source)
    throw ValueError(type_name() + ": a source and its lengths expected to start from");
  if (!needs_source && (inputs.source.defined() || inputs.lengths.defined()))
    throw ValueError(type_name() + ": prompts expected, but no source to start from");
}

}  // namespace heed::models
