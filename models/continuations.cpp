#include <heed/models/continuations.h>

#include <algorithm>

#include <heed/core/error.h>

namespace heed::models {

Continuations::Continuations(const Steppable& model, const DecodingInputs& inputs, int64_t longest)
    : model_(model), inputs_(inputs), texts_(inputs.prompts) {
  int64_t rows = inputs.rows(), bos = model.vocabulary().bos;
  if (texts_.empty() && bos >= 0) texts_.assign(static_cast<size_t>(rows), {bos});
  if (static_cast<int64_t>(texts_.size()) != rows)
    throw ValueError(str("decoding: ", rows, " prompts expected, one a row, got ", texts_.size()));
  if (!texts_.empty()) prompt_length_ = static_cast<int64_t>(texts_.front().size());
  for (const std::vector<int64_t>& text : texts_) {
    if (text.empty()) throw ValueError("decoding: a prompt of at least one token expected");
    if (static_cast<int64_t>(text.size()) != prompt_length_)
      throw ValueError(str("decoding: prompts of one length expected, got ", prompt_length_,
                           " and ", text.size(), " tokens"));
  }
  int64_t size = model.vocabulary().size;
  for (const std::vector<int64_t>& text : texts_)
    for (int64_t id : text)
      if (id < 0 || id >= size)
        throw ValueError(
            str("decoding: token ", id, " of a prompt is outside the vocabulary of ", size));
  // States grow when a text becomes longer; a batch of short ones takes no memory for long ones.
  capacity_ = std::min<int64_t>(prompt_length_ + std::min<int64_t>(longest, 64), 64);
  decoding_ = model_.start(inputs_, capacity_);
}

std::vector<int64_t> Continuations::added(int64_t row) const {
  const std::vector<int64_t>& text = texts_[static_cast<size_t>(row)];
  return {text.begin() + prompt_length_, text.end()};
}

Tensor Continuations::next() {
  auto length = static_cast<int64_t>(texts_.front().size()), rows = decoding_->rows();
  auto limit = model_.limit();
  if (limit && decoding_->length() + length - taken_ > *limit) {
    std::vector<int64_t> input_rows = decoding_->input_rows();
    decoding_ = model_.start(inputs_, capacity_);
    decoding_->select(input_rows);
    taken_ = length - std::min(std::max<int64_t>(*limit / 2, 1), length);
  }
  std::vector<int64_t> fresh;
  for (const std::vector<int64_t>& text : texts_)
    fresh.insert(fresh.end(), text.begin() + taken_, text.end());
  Tensor logits =
      decoding_->step(Tensor::from(fresh, {rows, length - taken_}, {.device = device_}));  // [R, V]
  taken_ = length;
  return logits;
}

void Continuations::append(const std::vector<int64_t>& rows, const std::vector<int64_t>& tokens) {
  decoding_->select(rows);
  Texts texts;
  for (size_t r = 0; r < rows.size(); ++r) {
    texts.push_back(texts_[static_cast<size_t>(rows[r])]);
    texts.back().push_back(tokens[r]);
  }
  texts_ = std::move(texts);
}

}  // namespace heed::models
