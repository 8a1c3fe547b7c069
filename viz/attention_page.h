// Attention maps to explore: one HTML page that needs no network and no other file. The reader
// chooses kind, layer and head; a cell shows its weight and both tokens, by pointer or by keyboard
// (arrow keys, Home, End). It follows the reader's light or dark colours.
//
//   AttentionGroup cross{"cross: target looks at source", target, source, layers};
//   save_attention_page("attention.html", {cross}, {.title = "Attention", .lines = {sentence}});
//
// The page is HTML and well-formed XML at once; whatever the tokens are, they are shown as text.
#pragma once

#include <string>
#include <vector>

#include <heed/core/array.h>

namespace heed::viz {

struct AttentionGroup {  // all maps between the same tokens: a choice of the page
  std::string name;
  std::vector<std::string> rows, columns;  // T query tokens, S key tokens
  std::vector<Array> layers;               // [H, T, S] f32, f64 or bf16 each, any strides
};

struct PageText {
  std::string title = "Attention";
  std::vector<std::string> lines = {};  // paragraphs below the title
};

// Weights are rounded to four digits behind the point; a NaN is shown as such. ValueError: no
// group, a group without layers, more than 2^24 weights in all. ShapeError, DTypeError: a layer
// that is no [H, T, S] of floats with H, T, S >= 1, T and S the numbers of tokens.
std::string attention_page(const std::vector<AttentionGroup>& groups, const PageText& text = {});
// The same to a file. IoError.
void save_attention_page(const std::string& path, const std::vector<AttentionGroup>& groups,
                         const PageText& text = {});

}  // namespace heed::viz
