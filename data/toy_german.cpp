#include <heed/data/toy_grammar.h>

#include <string_view>

namespace heed::data::toy {

namespace {
using std::string;

const Place* place_of(const Sentence& s) {
  if (s.first.place) return s.first.place;
  return s.second ? s.second->place : nullptr;
}

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
    case Determiner::the: return ending(kThe, "den", column, c);
    case Determiner::these: return string("dies") + ending(kStrong, "en", column, c);
    case Determiner::every: return string("jed") + ending(kStrong, "en", column, c);
    case Determiner::my: return string("mein") + ending(kMixed, "en", column, c);
    case Determiner::a: return string(kein ? "kein" : "ein") + ending(kMixed, "en", column, c);
    case Determiner::none: return kein ? "keine" : "";
    case Determiner::two: return "zwei";
    default: return "drei";
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
    case Tense::future: finite("wird", "werden"); break;
    case Tense::can: finite("kann", "können"); break;
    case Tense::must: forbidden ? finite("darf", "dürfen") : finite("muss", "müssen"); break;
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

}  // namespace

std::string german(const Sentence& s) {
  const Place* place = place_of(s);
  bool nature = place && place->nature;
  Words out;
  if (!s.second) {
    out = german_clause(s.first, Order::main, nature);
  } else {
    bool equal = s.joint == Joint::and_ || s.joint == Joint::but;
    Words second = german_clause(*s.second, equal ? Order::main : Order::final, nature);
    second.insert(second.begin(), joint_words(s).de);
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
