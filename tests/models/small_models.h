// Small models and batches that the tests of models share.
#pragma once

#include <vector>

#include <heed/models/transformer.h>
#include <heed/models/translate.h>
#include <heed/tests/support/catch.h>
#include <heed/train/optimizer.h>

namespace heed::test {

inline models::TransformerConfig small_config() {
  models::TransformerConfig c;
  c.vocab = 24;
  c.layer.width = 32;
  c.layer.attention.heads = 2;
  c.layer.hidden = 48;
  c.encoder_layers = c.decoder_layers = 2;
  c.layer.dropout = 0;
  return c;
}

inline Tensor integers(const std::vector<int64_t>& values, const Shape& shape) {
  return Tensor::from(values, shape);
}

// A batch of made-up sentences of unequal length: the target is the source backwards, moved by one.
inline models::TranslationBatch make_batch(int64_t rows, int64_t longest, int64_t vocab,
                                           uint64_t seed) {
  Generator random(seed);
  auto n = static_cast<size_t>(rows * longest), w = static_cast<size_t>(longest);
  std::vector<int64_t> source(n, 0), in(n + static_cast<size_t>(rows), 0), out = in, lengths;
  for (size_t b = 0; b < static_cast<size_t>(rows); ++b) {
    auto length = static_cast<size_t>(
        b == 0 ? longest
               : 2 + static_cast<int64_t>(random.integer(static_cast<uint64_t>(longest - 1))));
    lengths.push_back(static_cast<int64_t>(length));
    for (size_t i = 0; i < length; ++i)
      source[b * w + i] =
          4 + static_cast<int64_t>(random.integer(static_cast<uint64_t>(vocab - 4)));
    in[b * (w + 1)] = 2;
    for (size_t i = 0; i < length; ++i) {
      int64_t token = 4 + (source[b * w + length - 1 - i] - 3) % (vocab - 4);
      in[b * (w + 1) + i + 1] = out[b * (w + 1) + i] = token;
    }
    out[b * (w + 1) + length] = 3;
  }
  return {integers(source, {rows, longest}), lengths, integers(in, {rows, longest + 1}),
          integers(out, {rows, longest + 1})};
}

// Trains on one batch; returns the last loss.
template <class Loss>
double overfit(nn::Module& model, int steps, double lr, Loss&& loss) {
  train::Adam optimizer(model.named_parameters(), {.beta2 = 0.98, .eps = 1e-9});
  model.train();
  double last = 0;
  for (int i = 1; i <= steps; ++i) {
    Tensor l = loss();
    l.backward();
    optimizer.clip_grad_norm(1);
    optimizer.step(lr * std::min(1.0, i / 20.0));
    optimizer.zero_grad();
    last = l.item();
  }
  model.eval();
  return last;
}

inline double largest_difference(const Tensor& a, const Tensor& b) {
  REQUIRE(a.shape() == b.shape());
  std::vector<double> x = a.to_vector(), y = b.to_vector();
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::fabs(x[i] - y[i]));
  return worst;
}

}  // namespace heed::test
