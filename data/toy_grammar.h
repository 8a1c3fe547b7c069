// Sentences of the toy language pair as structures, and how both languages write them. See
// toy_translation.h.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <heed/data/toy_lexicon.h>

namespace heed::data::toy {

enum class Determiner { the, my, these, every, a, none, two, three };  // from `a` on: indefinite
enum class Tense { present, past, perfect, future, can, must };
enum class Order { main, inverted, final };  // of a German clause

struct Relative;  // "that sees the dog"

struct Phrase {
  Determiner determiner = Determiner::the;
  bool plural = false;
  std::vector<const Adjective*> adjectives;
  const Noun* noun = nullptr;  // unless it is one of two:
  const TwoNouns* either = nullptr;
  std::shared_ptr<Relative> relative;
  bool pronoun = false;  // it, them: stands for this noun

  const Noun& meant(bool nature) const {
    return !either ? *noun : nature ? either->nature : either->town;
  }
};

struct Clause {
  Phrase subject;
  const Verb* verb = nullptr;
  Tense tense = Tense::present;
  bool negated = false;
  std::optional<Phrase> object;
  const Adjective* predicate = nullptr;  // after be
  const Time* time = nullptr;
  const Word* adverb = nullptr;  // at most one of time and adverb
  const Place* place = nullptr;
  bool front_time = false, front_place = false;
};

struct Relative {
  const Verb* verb;
  Tense tense;
  std::optional<Phrase> object;
};

enum class Joint { none, because, when, before, that, and_, but };
struct Sentence {
  Clause first;
  Joint joint = Joint::none;
  bool joint_first = false;  // "when the dog sleeps , the cat sings": `second` comes first
  std::optional<Clause> second;
};

// Tokens joined by blanks.
std::string english(const Sentence& sentence);
std::string german(const Sentence& sentence);

// What both languages need to write a sentence.
using Words = std::vector<std::string>;
void add(Words& out, const std::string& word);  // unless it is empty
void add(Words& out, const Words& words);
// Joined by blanks; ", ," becomes "," and ", ." becomes ".": clauses that end together.
std::string join(const Words& words);
// The conjunction; "when" is als for what was, wenn for what is or will be.
Word joint_words(const Sentence& sentence);

}  // namespace heed::data::toy
