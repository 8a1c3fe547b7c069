// The words of the toy language pair: English and German forms side by side. Only toy_grammar.cpp
// needs this.
#pragma once

#include <span>

namespace heed::data::toy {

enum class Gender { masculine, feminine, neuter };

struct Noun {
  const char *en, *en_plural;
  const char *de, *de_plural;
  Gender gender;
  bool person = false;
};

// One English noun, two German ones: the place (nature or town) tells which is meant.
struct TwoNouns {
  Noun nature, town;
};

struct Adjective {
  const char *en, *de;
};

enum class Takes { nothing, anything, being, thing, clause };
struct Verb {
  const char *en, *en_s, *en_past, *en_participle;  // see sees saw seen
  const char *de_s, *de_plural;                     // sieht sehen
  const char *de_past, *de_past_plural;             // sah sahen
  const char *de_infinitive, *de_participle;        // sehen gesehen; aufmachen aufgemacht
  const char* prefix;                               // "auf" of aufmachen, "" if there is none
  bool sein;                                        // ist gekommen, not hat
  Takes takes = Takes::nothing;
};

enum class When { past, present, future, any };
struct Time {
  const char *en, *de;
  When when;
};
struct Place {
  const char *en, *de;
  bool nature;
};
struct Word {
  const char *en, *de;
};

std::span<const Noun> beings();
std::span<const Noun> things();
std::span<const TwoNouns> ambiguous();
std::span<const Adjective> adjectives(bool person);
const Adjective& light(const Noun& thing);  // "hell" for what shines, else "leicht"
std::span<const Verb> transitive();
std::span<const Verb> intransitive();
std::span<const Verb> speaking();  // with a that-clause
const Verb& be();
std::span<const Time> times();
std::span<const Place> places();
std::span<const Word> adverbs();  // before the English verb

}  // namespace heed::data::toy
