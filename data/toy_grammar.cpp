#include <heed/data/toy_grammar.h>

#include <string_view>

namespace heed::data::toy {

namespace {
using std::string;
using Words = std::vector<string>;

void add(Words& out, const string& word) {
  if (!word.empty()) out.push_back(word);
}
void add(Words& out, const Words& words) { out.insert(out.end(), words.begin(), words.end()); }

// ", ," and ", ." come from clauses that end together.
string join(const Words& words) {
  string out;
  for (size_t i = 0; i < words.size(); ++i) {
    if (words[i] == "," && i + 1 < words.size() && (words[i + 1] == "," || words[i + 1] == "."))
      continue;
    out += (out.empty() ? "" : " ") + words[i];
  }
  return out;
}

const Place* place_of(const Sentence& s) {
  if (s.first.place) return s.first.place;
  return s.second ? s.second->place : nullptr;
}

// ---- English

const char* english_determiner(const Phrase& p) {
  switch (p.determiner) {
    case Determiner::the:
      return "the";
    case Determiner::my:
      return "my";
    case Determiner::these:
      return p.plural ? "these" : "this";
    case Determiner::every:
      return "every";
    case Determiner::a:
      return "a";
    case Determiner::two:
      return "two";
    case Determiner::three:
      return "three";
    default:
      return "";
  }
}

// The verb with its auxiliary; `between` (adverb) stands before the main verb, behind what is
// finite.
Words english_verb(const Verb& v, Tense tense, bool plural, bool negated, const string& between) {
  Words out;
  bool is_be = &v == &be();
  string auxiliary, main = v.en;
  switch (tense) {
    case Tense::present:
      main = plural ? (is_be ? "are" : v.en) : v.en_s;
      break;
    case Tense::past:
      main = is_be && plural ? "were" : v.en_past;
      break;
    case Tense::perfect:
      auxiliary = plural ? "have" : "has";
      main = v.en_participle;
      break;
    case Tense::future:
      auxiliary = "will";
      break;
    case Tense::can:
      auxiliary = "can";
      break;
    case Tense::must:
      auxiliary = "must";
      break;
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

// ---- German

enum class Case { nominative, accusative };

// Endings by column: masculine, feminine, neuter, plural.
int column(const Noun& noun, bool plural) { return plural ? 3 : static_cast<int>(noun.gender); }

const char* ending(const char* const (&nominative)[4], const char* masculine_accusative, int column,
                   Case c) {
  return c == Case::accusative && column == 0 ? masculine_accusative : nominative[column];
}

string german_determiner(Determiner d, int column, Case c, bool kein) {
  static constexpr const char *kThe[] = {"der", "die", "das", "die"},
                              *kStrong[] = {"er", "e", "es", "e"}, *kMixed[] = {"", "e", "", "e"};
  switch (d) {
    case Determiner::the:
      return ending(kThe, "den", column, c);
    case Determiner::these:
      return string("dies") + ending(kStrong, "en", column, c);
    case Determiner::every:
      return string("jed") + ending(kStrong, "en", column, c);
    case Determiner::my:
      return string("mein") + ending(kMixed, "en", column, c);
    case Determiner::a:
      return string(kein ? "kein" : "ein") + ending(kMixed, "en", column, c);
    case Determiner::none:
      return kein ? "keine" : "";
    case Determiner::two:
      return "zwei";
    default:
      return "drei";
  }
}

string adjective_ending(Determiner d, int column, Case c, bool kein) {
  static constexpr const char *kWeak[] = {"e", "e", "e", "en"}, *kMixed[] = {"er", "e", "es", "en"};
  bool mixed = d == Determiner::a || d == Determiner::my;
  bool bare = (d == Determiner::none && !kein) || d == Determiner::two || d == Determiner::three;
  if (bare) return "e";
  return ending(mixed ? kMixed : kWeak, "en", column, c);
}

// The verb in two parts: the finite form, and what stands at the end of the clause.
struct GermanVerb {
  string finite;
  Words tail;
};
// `forbidden`: must not, must never.
GermanVerb german_verb(const Verb& v, Tense tense, bool plural, bool forbidden,
                       const char* predicate) {
  GermanVerb out;
  auto finite = [&](const char* singular, const char* several) {
    out.finite = plural ? several : singular;
  };
  if (predicate) out.tail.push_back(predicate);
  switch (tense) {
    case Tense::present:
      finite(v.de_s, v.de_plural);
      add(out.tail, v.prefix);
      return out;
    case Tense::past:
      finite(v.de_past, v.de_past_plural);
      add(out.tail, v.prefix);
      return out;
    case Tense::perfect:
      v.sein ? finite("ist", "sind") : finite("hat", "haben");
      out.tail.push_back(v.de_participle);
      return out;
    case Tense::future:
      finite("wird", "werden");
      break;
    case Tense::can:
      finite("kann", "können");
      break;
    case Tense::must:
      forbidden ? finite("darf", "dürfen") : finite("muss", "müssen");
      break;
  }
  out.tail.push_back(v.de_infinitive);
  return out;
}

Words at_end(const Verb& v, GermanVerb verb) {
  if (*v.prefix && verb.tail.size() == 1 && verb.tail[0] == v.prefix)
    return {v.prefix + verb.finite};
  verb.tail.push_back(verb.finite);
  return verb.tail;
}

Words german_phrase(const Phrase& p, Case c, bool nature, bool kein = false) {
  const Noun& noun = p.meant(nature);
  int col = column(noun, p.plural);
  if (p.pronoun) {
    static constexpr const char* kIt[] = {"ihn", "sie", "es", "sie"};
    return {kIt[col]};
  }
  Words out;
  add(out, german_determiner(p.determiner, col, c, kein));
  for (auto* adjective : p.adjectives)
    out.push_back(adjective->de + adjective_ending(p.determiner, col, c, kein));
  out.push_back(p.plural ? noun.de_plural : noun.de);
  if (p.relative) {
    static constexpr const char* kWho[] = {"der", "die", "das", "die"};
    out.push_back(",");
    out.push_back(kWho[col]);
    if (p.relative->object) add(out, german_phrase(*p.relative->object, Case::accusative, nature));
    add(out, at_end(*p.relative->verb,
                    german_verb(*p.relative->verb, p.relative->tense, p.plural, false, nullptr)));
    out.push_back(",");
  }
  return out;
}

Words german_clause(const Clause& c, Order order, bool nature) {
  Words subject = german_phrase(c.subject, Case::nominative, nature), middle;
  bool indefinite = c.object && !c.object->pronoun && c.object->determiner >= Determiner::a;
  bool kein = c.negated && indefinite && c.object->determiner <= Determiner::none;
  auto object = [&](bool here) {
    if (c.object && here) add(middle, german_phrase(*c.object, Case::accusative, nature, kein));
  };
  bool forbidden = c.negated || (c.adverb && c.adverb->de == std::string_view("nie"));
  GermanVerb verb = german_verb(*c.verb, c.tense, c.subject.plural, forbidden,
                                c.predicate ? c.predicate->de : nullptr);

  object(!indefinite);
  if (c.time && !c.front_time) middle.push_back(c.time->de);
  if (c.adverb) middle.push_back(c.adverb->de);
  if (c.place && !c.front_place) middle.push_back(c.place->de);
  object(indefinite);
  if (c.negated && !kein) middle.push_back("nicht");

  Words out;
  if (c.front_time) out.push_back(c.time->de);
  if (c.front_place) out.push_back(c.place->de);
  if (c.front_time || c.front_place) order = Order::inverted;
  if (order == Order::inverted) out.push_back(verb.finite);
  add(out, subject);
  if (order == Order::main) out.push_back(verb.finite);
  add(out, middle);
  add(out, order == Order::final ? at_end(*c.verb, verb) : verb.tail);
  return out;
}

// "when" is als for what was, wenn for what is or will be.
Words joints(const Sentence& s) {
  switch (s.joint) {
    case Joint::because:
      return {"because", "weil"};
    case Joint::before:
      return {"before", "bevor"};
    case Joint::that:
      return {"that", "dass"};
    case Joint::and_:
      return {"and", "und"};
    case Joint::but:
      return {"but", "aber"};
    default:
      return {"when",
              s.second->tense == Tense::past || s.second->tense == Tense::perfect ? "als" : "wenn"};
  }
}
}  // namespace

string english(const Sentence& s) {
  Words out;
  if (!s.second) {
    out = english_clause(s.first);
  } else if (s.joint_first) {
    out = {joints(s)[0]};
    add(out, english_clause(*s.second));
    out.push_back(",");
    add(out, english_clause(s.first));
  } else {
    out = english_clause(s.first);
    out.push_back(joints(s)[0]);
    add(out, english_clause(*s.second));
  }
  out.push_back(".");
  return join(out);
}

string german(const Sentence& s) {
  const Place* place = place_of(s);
  bool nature = place && place->nature;
  Words out;
  if (!s.second) {
    out = german_clause(s.first, Order::main, nature);
  } else {
    bool equal = s.joint == Joint::and_ || s.joint == Joint::but;
    Words second = german_clause(*s.second, equal ? Order::main : Order::final, nature);
    second.insert(second.begin(), joints(s)[1]);
    if (s.joint_first) {
      out = second;
      out.push_back(",");
      add(out, german_clause(s.first, Order::inverted, nature));
    } else {
      out = german_clause(s.first, Order::main, nature);
      if (s.joint != Joint::and_) out.push_back(",");
      add(out, second);
    }
  }
  out.push_back(".");
  return join(out);
}

}  // namespace heed::data::toy
