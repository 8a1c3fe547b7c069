// Texts that a model continues, token by token: what beam search and sampling have in common.
//
//   Continuations texts(model, inputs, longest);
//   Tensor logits = texts.next();              // [R, V], of what follows each text
//   texts.append({0, 0}, {7, 9});              // two texts: the first with 7 added, and with 9
//
// Where the model's decoding is full (Steppable::limit), it begins again with the last half of its
// limit, at new positions.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include <heed/models/steppable.h>
#include <heed/models/token_rules.h>

namespace heed::models {

class Continuations {
 public:
  // `longest`: the most tokens that will be added (a hint). ValueError: no prompts where the model
  // has no bos, prompts of unequal lengths or of another count than the source's rows; what
  // Steppable::start refuses.
  Continuations(const Steppable& model, const DecodingInputs& inputs, int64_t longest);

  const Texts& texts() const { return texts_; }  // with their prompts
  int64_t prompt_length() const { return prompt_length_; }
  std::vector<int64_t> added(int64_t row) const;  // the text behind the prompt

  Tensor next();  // logits [R, V]
  // Row r goes on from text rows[r] with tokens[r].
  void append(const std::vector<int64_t>& rows, const std::vector<int64_t>& tokens);

 private:
  const Steppable& model_;
  Device device_ = model_.device();
  DecodingInputs inputs_;
  Texts texts_;
  int64_t prompt_length_ = 0, capacity_ = 0;
  std::unique_ptr<Decoding> decoding_;
  int64_t taken_ = 0;  // tokens of each text that the decoding has seen
};

}  // namespace heed::models
