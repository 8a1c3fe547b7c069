// What beam search and sampling require of a model: decoding step by step.
//
//   std::unique_ptr<models::Decoding> decoding = model.start({.source = ids, .lengths = lengths});
//   Tensor logits = decoding->step(tokens);   // [R, T] -> [R, V], of what follows the last token
//   decoding->select({0, 0, 1});              // row 0 twice, then row 1
//
// models/beam_search.h and models/sample.h decode with any such model.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include <heed/core/lengths.h>
#include <heed/nn/module.h>

namespace heed::models {

// How many tokens there are, and which ids mark padding, the begin and the end; -1: no such token.
struct Vocabulary {
  int64_t size = 0, pad = -1, bos = -1, eos = -1;
};

struct DecodingInputs {
  Tensor source{};    // i64 [B, S], padded on the right; undefined for a model without a source
  Lengths lengths{};  // [B], of the source
  // What the text of each row begins with, all of one length; empty: the model's bos.
  std::vector<std::vector<int64_t>> prompts{};

  int64_t rows() const;  // B
};

// Rows of tokens that are being decoded, and what the model keeps of each. Nothing is recorded on
// the tape. It must not outlive the model.
class Decoding {
 public:
  virtual ~Decoding() = default;
  // The next T >= 1 tokens of each row, i64 [R, T] -> the logits of what follows them: [R, V].
  // ShapeError for another shape.
  Tensor step(const Tensor& tokens);
  // Row r becomes what row rows[r] was; repeats allowed, any count. ValueError: no such row.
  void select(const std::vector<int64_t>& rows);

  int64_t rows() const { return static_cast<int64_t>(input_rows_.size()); }  // R
  int64_t length() const { return length_; }  // tokens that each row has taken in
  // Of each row, the row of the inputs that it comes from.
  const std::vector<int64_t>& input_rows() const { return input_rows_; }

 protected:
  explicit Decoding(int64_t rows);

 private:
  // Tokens [R, T] at positions length .. length + T -> logits [R, V].
  virtual Tensor take_in(const Tensor& tokens, int64_t length) = 0;
  // `same_inputs`: each row keeps its row of the inputs, so what was made of them can stay.
  virtual void move_rows(const std::vector<int64_t>& rows, bool same_inputs) = 0;

  std::vector<int64_t> input_rows_;
  int64_t length_ = 0;
};

class Steppable : public nn::Module {
 public:
  virtual Vocabulary vocabulary() const = 0;
  // How many tokens a decoding can take in; empty: any number.
  virtual std::optional<int64_t> limit() const { return {}; }
  // A decoding whose rows are those of the inputs; their prompts are not taken in yet. `capacity`
  // is a hint: tokens to come. ValueError: a model in training mode, inputs that the model has no
  // use for; ShapeError: a source or lengths of another shape.
  virtual std::unique_ptr<Decoding> start(const DecodingInputs& inputs,
                                          int64_t capacity = 0) const = 0;

 protected:
  // ValueError in training mode, or where the inputs have a source and must not, or the reverse.
  void check_start(const DecodingInputs& inputs, bool needs_source) const;
};

}  // namespace heed::models
