#include <heed/data/toy_grammar.h>

namespace heed::data::toy {

void add(Words& out, const std::string& word) {
  if (!word.empty()) out.push_back(word);
}

void add(Words& out, const Words& words) { out.insert(out.end(), words.begin(), words.end()); }

std::string join(const Words& words) {
  std::string out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "," && i + 1 < words.size() && (words[i + 1] == "," || words[i + 1] == "."))
      continue;
    out += (out.empty() ? "" : " ") + words[i];
  }
  return out;
}

Word joint_words(const Sentence& s) {
  switch (s.joint) {
    case Joint::because: return {"because", "weil"};
    case Joint::before: return {"before", "bevor"};
    case Joint::that: return {"that", "dass"};
    case Joint::and_: return {"and", "und"};
    case Joint::but: return {"but", "aber"};
    default:
      bool past = s.second->tense == Tense::past || s.second->tense == Tense::perfect;
      return {"when", past ? "als" : "wenn"};
  }
}

}  // namespace heed::data::toy
