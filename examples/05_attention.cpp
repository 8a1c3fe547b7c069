// Attention step by step, on a sentence of six words: who looks at whom, and why the scores are
// divided by sqrt(d).
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include <heed/heed.h>

using namespace heed;

const std::vector<std::string> kWords = {"the", "dog", "that", "barks", "is", "small"};
constexpr int64_t kHeads = 2, kWidth = 64, kHeadDim = kWidth / kHeads;

// A matrix [T, T] as text.
void print(const char* title, const Tensor& matrix) {
  std::printf("%s\n        ", title);
  for (const std::string& word : kWords) std::printf("%8s", word.c_str());
  std::printf("\n");
  for (int64_t i = 0; i < matrix.dim(0); ++i) {
    std::printf("%8s", kWords[static_cast<size_t>(i)].c_str());
    for (double x : matrix[i].to_vector()) std::printf("%8.2f", x);
    std::printf("\n");
  }
  std::printf("\n");
}

// -sum p log2 p of each row, averaged: 0 bits = all on one word, log2(6) = 2.58 bits = evenly.
double entropy(const Tensor& weights) {  // [T, S]
  Tensor p = clamp(weights, 1e-30, 1);
  return mean(sum(p * log(p), {1})).item() / -std::log(2.0);
}

int main() try {
  manual_seed(1);
  auto words = static_cast<int64_t>(kWords.size());
  NoGrad guard;

  // 1. Each word is a vector: here a random one, normalised as a layer norm would leave it.
  Tensor x = layer_norm(randn({1, words, kWidth}), Tensor(), Tensor());  // [B, T, d]
  std::printf("x: %s = [batch, words, width]\n", to_string(x.shape()).c_str());

  // 2. Three projections: what a word asks (query), what it offers (key), what it says (value).
  nn::Linear q_proj(kWidth, kWidth), k_proj(kWidth, kWidth), v_proj(kWidth, kWidth);
  for (nn::Linear* l : {&q_proj, &k_proj, &v_proj})
    nn::init::normal_(l->weight, 0, 1 / std::sqrt(kWidth));
  auto split = [&](const Tensor& t) {  // [B, T, H D] -> [B, H, T, D]
    return t.reshape({1, words, kHeads, kHeadDim}).transpose(1, 2);
  };
  Tensor q = split(q_proj.forward(x)), k = split(k_proj.forward(x)), v = split(v_proj.forward(x));
  std::printf("q, k, v: %s = [batch, heads, words, width of a head]\n\n",
              to_string(q.shape()).c_str());

  // 3. Scores: how well does each query fit each key? A dot product, divided by sqrt(D).
  Tensor scores =
      matmul(q, k.transpose(2, 3)) / std::sqrt(static_cast<double>(kHeadDim));  // [B, H, T, T]
  print("scores of head 0 (row: who asks, column: who is asked)", scores[0][0]);

  // 4. Mask: a language model must not look at words to come. Those scores become -infinity.
  Tensor visible = nn::Mask().dense(1, words, words, kCpu, /*causal=*/true);  // [1, 1, T, T]
  Tensor masked = where(visible, scores, -INFINITY);                          // [B, H, T, T]

  // 5. Softmax makes weights of each row: positive, with sum 1.
  Tensor weights = softmax(masked, -1);  // [B, H, T, T]
  print("weights of head 0", weights[0][0]);
  std::printf("sum of each row: ");
  for (double s : sum(weights[0][0], {1}).to_vector()) std::printf("%.3f ", s);
  std::printf("\n\n");

  // 6. The result: for each word the mean of the values, by these weights; heads side by side.
  Tensor mixed = matmul(weights, v);                               // [B, H, T, D]
  Tensor out = mixed.transpose(1, 2).reshape({1, words, kWidth});  // [B, T, d]
  std::printf("result: %s\n", to_string(out.shape()).c_str());

  // The same in one call, as layers do it: no map of T x T is ever stored.
  nn::DenseAttention dense({.heads = kHeads,
                            .kv_heads = kHeads,
                            .head_dim = kHeadDim,
                            .value_dim = kHeadDim,
                            .causal = true});
  Tensor fused = dense.forward(q, k, v, {});  // [B, H, T, D]
  Tensor difference = abs(fused - mixed);
  std::printf("largest difference to the fused layer: %.1e\n\n",
              max(difference.reshape({-1}), 0).item());

  // 7. How sharp is each head? And what happens without 1 / sqrt(D)? Dot products of D numbers have
  // a standard deviation of sqrt(D), so softmax puts nearly all weight on one word, and its
  // gradient nearly vanishes.
  std::printf("entropy in bits (even: %.2f)\n", std::log2(static_cast<double>(words)));
  Tensor raw = scores * std::sqrt(static_cast<double>(kHeadDim));  // [B, H, T, T]
  for (int64_t h = 0; h < kHeads; ++h) {
    auto slope = [&](const Tensor& w) {
      return mean(w * (1.0 - w)).item();
    };  // of softmax: w (1 - w)
    Tensor with = softmax(scores[0][h], -1), without = softmax(raw[0][h], -1);  // [T, T]
    std::printf(
        "  head %lld: %.2f with 1 / sqrt(D), %.2f without; mean slope of softmax %.3f and %.3f\n",
        static_cast<long long>(h), entropy(with), entropy(without), slope(with), slope(without));
  }

  // 8. The map as a picture.
  std::vector<viz::AttentionMap> pictures;
  for (int64_t h = 0; h < kHeads; ++h)
    pictures.push_back({weights[0][h].array(), str("head ", h), kWords, kWords});
  viz::draw_maps(pictures).save("attention.svg");
  std::printf("both heads are drawn in attention.svg\n");
} catch (const std::exception& error) {
  std::fprintf(stderr, "05_attention: %s\n", error.what());
  return 1;
}
