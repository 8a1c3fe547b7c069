#include <heed/data/toy_grammar.h>

#include <string_view>

namespace heed::data::toy {

namespace {
using std::string;

const char* english_determiner(const Phrase& p) {
  switch (p.determiner) {
    case Determiner::the: return "the";
    case Determiner::my: return "my";
    case Determiner::these: return p.plural ? "these" : "this";
    case Determiner::every: return "every";
    case Determiner::a: return "a";
    case Determiner::two: return "two";
    case Determiner::three: return "three";
    default: return "";
  }
}

// The verb with its auxiliary; `between` (adverb) stands before the main verb, behind what is
// finite.
Words english_verb(const Verb& v, Tense tense, bool plural, bool negated, const string& between) {
  Words out;
  bool is_be = &v == &be();
  string auxiliary, main = v.en;
  switch (tense) {
    case Tense::present: main = plural ? (is_be ? "are" : v.en) : v.en_s; break;
    case Tense::past: main = is_be && plural ? "were" : v.en_past; break;
    case Tense::perfect:
      auxiliary = plural ? "have" : "has";
      main = v.en_participle;
      break;
    case Tense::future: auxiliary = "will"; break;
    case Tense::can: auxiliary = "can"; break;
    case Tense::must: auxiliary = "must"; break;
  }
  if (auxiliary.empty() && is_be)
    return negated ? Words{main, "not"} : between.empty() ? Words{main} : Words{main, between};
  if (auxiliary.empty() && negated) {
    auxiliary = tense == Tense::past ? "did" : plural ? "do" : "does";
    main = v.en;
  }
  add(out, auxiliary);
  if (negated) out.push_back("not");
  add(out, between);
  out.push_back(main);
  return out;
}

Words english_phrase(const Phrase& p) {
  if (p.pronoun) return {p.plural ? "them" : "it"};
  Words out;
  add(out, english_determiner(p));
  if (p.determiner == Determiner::a && !p.adjectives.empty() &&
      p.adjectives[0]->en == std::string_view("old"))
    out.back() = "an";
  for (auto* adjective : p.adjectives) out.push_back(adjective->en);
  const Noun& noun = p.meant(true);
  out.push_back(p.plural ? noun.en_plural : noun.en);
  if (p.relative) {
    out.push_back("that");
    add(out, english_verb(*p.relative->verb, p.relative->tense, p.plural, false, ""));
    if (p.relative->object) add(out, english_phrase(*p.relative->object));
  }
  return out;
}

Words english_clause(const Clause& c) {
  Words out;
  if (c.front_time) out.push_back(c.time->en);
  if (c.front_place) out.push_back(c.place->en);
  add(out, english_phrase(c.subject));
  add(out,
      english_verb(*c.verb, c.tense, c.subject.plural, c.negated, c.adverb ? c.adverb->en : ""));
  if (c.object) add(out, english_phrase(*c.object));
  if (c.predicate) out.push_back(c.predicate->en);
  if (c.place && !c.front_place) out.push_back(c.place->en);
  if (c.time && !c.front_time) out.push_back(c.time->en);
  return out;
}

}  // namespace

std::string english(const Sentence& s) {
  Words out;
  if (!s.second) {
    out = english_clause(s.first);
  } else if (s.joint_first) {
    out = {joint_words(s).en};
    add(out, english_clause(*s.second));
    out.push_back(",");
    add(out, english_clause(s.first));
  } else {
    out = english_clause(s.first);
    out.push_back(joint_words(s).en);
    add(out, english_clause(*s.second));
  }
  out.push_back(".");
  return join(out);
}

}  // namespace heed::data::toy
