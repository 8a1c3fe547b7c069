// Checks the bytes of a SentencePiece model before the library parses them. Internal to data/.
//
// The file is a protobuf message; its fields here (wire types: 0 varint, 2 length and bytes,
// 5 float):
//   1 pieces, repeated { 1 text, 2 score, 3 type }
//       type: 1 normal, 2 unknown, 3 control, 4 user, 5 unused, 6 byte
//   2 trainer { 3 model_type: 1 unigram, 2 bpe }
//   3 normalizer, 5 denormalizer { 2 charsmap }
// A charsmap is u32 little-endian n, a double-array trie of n bytes (units of u32), then
// NUL-terminated replacements. A unit u holds
//   label      u & 0x800000ff
//   leaf flag  u & 0x100
//   value      u & 0x7fffffff
//   offset     (u >> 10) << ((u & 0x200) >> 6)
// The library walks the trie without bounds checks. So this is required of each unit i that can be
// entered (bit 31 clear, or i = 0): (i ^ offset) | 255 < number of units; and where its leaf flag
// is set, the value of unit i ^ offset lies inside the replacements, whose last byte is NUL.
#pragma once

#include <string>
#include <string_view>

namespace heed::data {

// IoError "<name>: ... at offset n ...".
void check_sentence_piece_model(std::string_view bytes, const std::string& name);

}  // namespace heed::data
