#include <heed/data/vocab.h>

#include <algorithm>
#include <fstream>

#include <heed/core/error.h>
#include <heed/data/lines.h>
#include <heed/data/utf8.h>

namespace heed::data {

static const char* const kSpecials[kSpecialTokens] = {"<pad>", "<unk>", "<bos>", "<eos>"};

WordVocab::WordVocab(std::vector<std::string> tokens) : tokens_(std::move(tokens)) {
  for (size_t i = kSpecialTokens; i < tokens_.size(); ++i)
    ids_.emplace(tokens_[i], static_cast<int64_t>(i));
}

WordVocab WordVocab::build(std::span<const std::string> lines, const VocabOptions& options) {
  if (options.min_count < 1 || options.max_size < 0 ||
      (options.max_size && options.max_size <= kSpecialTokens))
    throw ValueError(str("WordVocab: min_count >= 1 and max_size = 0 or > 4 expected, got ",
                         options.min_count, " and ", options.max_size));
  std::unordered_map<std::string, int64_t, Hash, std::equal_to<>> counts;
  for (const std::string& line : lines)
    for (std::string_view word : split_words(line)) {
      auto it = counts.find(word);
      if (it == counts.end()) it = counts.emplace(std::string(word), 0).first;
      ++it->second;
    }
  for (const char* special : kSpecials) counts.erase(special);
  std::vector<std::pair<int64_t, std::string>> order;
  for (auto& [word, count] : counts)
    if (count >= options.min_count) order.emplace_back(-count, word);
  std::sort(order.begin(), order.end());
  if (options.max_size)
    order.resize(
        std::min<size_t>(order.size(), static_cast<size_t>(options.max_size - kSpecialTokens)));
  if (order.empty())
    throw ValueError(
        str("WordVocab: no word occurs ", options.min_count, " times in ", lines.size(), " lines"));

  std::vector<std::string> tokens(kSpecials, kSpecials + kSpecialTokens);
  for (auto& entry : order) tokens.push_back(std::move(entry.second));
  return WordVocab(std::move(tokens));
}

WordVocab WordVocab::load(const std::string& file) {
  std::vector<std::string> tokens;
  std::unordered_map<std::string, int64_t> first_line;
  LineReader reader(file);
  for (std::string line; reader.next(line);) {
    auto fail = [&](const std::string& what) {
      throw IoError(str(file, ":", reader.line_number(), ": ", what));
    };
    size_t i = tokens.size();
    if (i < kSpecialTokens && line != kSpecials[i])
      fail(str("'", kSpecials[i], "' expected, got '", line.substr(0, 40), "'"));
    if (line.empty()) fail("empty line, one token a line expected");
    if (split_words(line).size() != 1 || split_words(line)[0] != line)
      fail("white space in a token");
    if (auto [it, fresh] = first_line.emplace(line, reader.line_number()); !fresh)
      fail(str("'", line, "' for the second time, first on line ", it->second));
    tokens.push_back(line);
  }
  if (tokens.size() < kSpecialTokens)
    throw IoError(str(file, ":", tokens.size() + 1, ": '", kSpecials[tokens.size()],
                      "' expected, the file ends"));
  return WordVocab(std::move(tokens));
}

void WordVocab::save_file(const std::string& file) const {
  std::ofstream out(file, std::ios::binary);
  for (const std::string& token : tokens_) out << token << '\n';
  out.flush();
  if (!out) throw IoError(str(file, ": cannot write"));
}

int64_t WordVocab::id(std::string_view word) const {
  auto it = ids_.find(word);
  return it == ids_.end() ? kUnk : it->second;
}

std::vector<int64_t> WordVocab::encode(std::string_view text) const {
  std::vector<int64_t> ids;
  for (std::string_view word : split_words(text)) ids.push_back(id(word));
  return ids;
}

std::string WordVocab::decode(std::span<const int64_t> ids) const {
  std::string out;
  for (int64_t id : ids) {
    check_id(id);
    if (id == kPad || id == kBos || id == kEos) continue;
    if (!out.empty()) out.push_back(' ');
    out += tokens_[static_cast<size_t>(id)];
  }
  return out;
}

std::string WordVocab::piece(int64_t id) const {
  check_id(id);
  return tokens_[static_cast<size_t>(id)];
}

}  // namespace heed::data
