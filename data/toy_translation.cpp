#include <heed/data/toy_translation.h>

#include <algorithm>
#include <unordered_set>

#include <heed/core/error.h>
#include <heed/core/random.h>
#include <heed/data/shuffle.h>
#include <heed/data/toy_grammar.h>

namespace heed::data {

namespace {
using namespace toy;

constexpr int kFewestTokens = 4, kMostTokens = 20;

class Speaker {
 public:
  explicit Speaker(uint64_t seed, uint32_t stream)
      : random_(epoch_generator(seed, 0, 0x746f79 + stream)) {}

  Sentence sentence() {
    Sentence s;
    int kind = below(20);
    s.joint = kind < 9    ? Joint::none
              : kind < 11 ? Joint::because
              : kind < 14 ? Joint::when
              : kind < 15 ? Joint::before
              : kind < 17 ? Joint::that
              : kind < 19 ? Joint::and_
                          : Joint::but;
    bool subordinate =
        s.joint == Joint::because || s.joint == Joint::when || s.joint == Joint::before;
    s.joint_first = subordinate && chance(0.4);
    // The one place of the sentence stands in front of the first clause or behind the last one.
    bool has_place = chance(0.5), front = has_place && chance(0.35) && !s.joint_first;
    ambiguous_allowed_ = has_place;
    s.first = s.joint == Joint::that ? matrix() : clause();
    if (s.joint != Joint::none)
      s.second = clause(s.joint == Joint::when || s.joint == Joint::before ? &s.first : nullptr);
    if (has_place) {
      Clause& holder = s.second && !front && !s.joint_first ? *s.second : s.first;
      holder.place = &pick(places());
      holder.front_place = front;
    }
    if (s.joint != Joint::none && s.joint != Joint::that) refer_back(s);
    // Time may come first instead, where nothing else does.
    if (s.first.time && !front && !s.joint_first) s.first.front_time = chance(0.4);
    return s;
  }

 private:
  int below(int n) { return static_cast<int>(random_.integer(static_cast<uint64_t>(n))); }
  bool chance(double p) { return random_.uniform() < p; }
  template <class T>
  const T& pick(std::span<const T> list) {
    return list[static_cast<size_t>(below(static_cast<int>(list.size())))];
  }

  Tense tense() {
    static constexpr Tense kTenses[] = {Tense::present, Tense::present, Tense::past,
                                        Tense::past,    Tense::perfect, Tense::perfect,
                                        Tense::future,  Tense::can,     Tense::must};
    return kTenses[below(9)];
  }

  void number_and_determiner(Phrase& p) {
    p.plural = chance(0.35);
    static constexpr Determiner kOne[] = {Determiner::the,   Determiner::the,  Determiner::the,
                                          Determiner::a,     Determiner::a,    Determiner::my,
                                          Determiner::these, Determiner::every};
    static constexpr Determiner kMany[] = {Determiner::the,   Determiner::the,  Determiner::my,
                                           Determiner::these, Determiner::none, Determiner::none,
                                           Determiner::two,   Determiner::three};
    p.determiner = (p.plural ? kMany : kOne)[below(8)];
  }

  const Adjective& adjective_for(const Phrase& p) {
    bool thing = p.noun && &things().front() <= p.noun && p.noun <= &things().back();
    if (thing && chance(0.3)) return light(*p.noun);
    return pick(adjectives(p.noun && p.noun->person));
  }
  void describe(Phrase& p) {
    if (!chance(0.35)) return;
    p.adjectives.push_back(&adjective_for(p));
    if (!chance(0.15)) return;
    const Adjective& second = adjective_for(p);
    if (second.en != p.adjectives[0]->en) p.adjectives.push_back(&second);
  }

  Phrase being() {
    Phrase p;
    number_and_determiner(p);
    p.noun = &pick(beings());
    describe(p);
    return p;
  }
  Phrase object(Takes takes) {
    double kind = takes == Takes::being ? 0 : takes == Takes::thing ? 1 : random_.uniform();
    if (kind < 0.35) return being();
    Phrase p;
    number_and_determiner(p);
    if (ambiguous_allowed_ && kind < 0.65) p.either = &pick(ambiguous());
    else p.noun = &pick(things());
    describe(p);
    return p;
  }
  Phrase subject() {
    Phrase p = being();
    if (chance(0.12)) {
      auto relative = std::make_shared<Relative>();
      bool has_object = chance(0.4);
      relative->verb = &pick(has_object ? transitive() : intransitive());
      relative->tense = chance(0.5) ? Tense::present : Tense::past;
      if (has_object) relative->object = object(relative->verb->takes);
      p.relative = relative;
    }
    return p;
  }

  void time_of(Clause& c) {
    if (chance(0.3)) {
      const Time& time = pick(times());
      bool fits =
          time.when == When::any    ? true
          : time.when == When::past ? c.tense == Tense::past
          : time.when == When::future
              ? c.tense == Tense::future || c.tense == Tense::can || c.tense == Tense::must
              : c.tense == Tense::present || c.tense == Tense::can || c.tense == Tense::must;
      if (fits) c.time = &time;
    } else if (chance(0.15) && !c.negated) {
      c.adverb = &pick(adverbs());
    }
  }

  // "the king knows", before "that ..."
  Clause matrix() {
    Clause c;
    c.subject = being();
    c.verb = &pick(speaking());
    c.tense = chance(0.5) ? Tense::present : Tense::past;
    c.negated = chance(0.2);
    return c;
  }

  // In the time of `other`, if there is one: both past, or neither.
  Clause clause(const Clause* other = nullptr) {
    auto past = [](Tense t) { return t == Tense::past || t == Tense::perfect; };
    Clause c;
    do c.tense = tense();
    while (other && past(c.tense) != past(other->tense));
    c.negated = chance(0.2);
    double kind = random_.uniform();
    if (kind < 0.12) {
      be_something(c);
    } else if (kind < 0.35) {
      c.subject = subject();
      c.verb = &pick(intransitive());
    } else {
      c.subject = subject();
      c.verb = &pick(transitive());
      c.object = object(c.verb->takes);
    }
    if (c.negated) {  // "not every" would be read in two ways
      for (Phrase* p : {&c.subject, c.object ? &*c.object : nullptr})
        if (p && p->determiner == Determiner::every) p->determiner = Determiner::the;
    }
    time_of(c);
    return c;
  }

  void be_something(Clause& c) {
    c.verb = &be();
    c.subject = object(Takes::anything);
    c.predicate = &adjective_for(c.subject);
    c.subject.adjectives.clear();
  }

  // Makes the object of the later clause "it" or "them": the object of the earlier one.
  void refer_back(Sentence& s) {
    Clause& early = s.joint_first ? *s.second : s.first;
    Clause& late = s.joint_first ? s.first : *s.second;
    if (!early.object || !late.object || !chance(0.5)) return;
    if (early.object->noun && early.object->noun->person && !early.object->plural)
      return;  // not "it"
    Phrase pronoun;
    pronoun.pronoun = true;
    pronoun.plural = early.object->plural;
    pronoun.noun = early.object->noun;
    pronoun.either = early.object->either;
    late.object = pronoun;
  }

  Generator random_;
  bool ambiguous_allowed_ = false;
};

bool fits(const std::string& text) {
  auto tokens = std::count(text.begin(), text.end(), ' ') + 1;
  return tokens >= kFewestTokens && tokens <= kMostTokens;
}
}  // namespace

ToySplit toy_split(std::string_view source) {
  uint64_t hash = 0xcbf29ce484222325;  // FNV-1a
  for (unsigned char c : source) hash = (hash ^ c) * 0x100000001b3;
  uint64_t part = (hash ^ hash >> 32) % 11;
  return part == 0 ? ToySplit::test : part == 1 ? ToySplit::valid : ToySplit::train;
}

ParallelCorpus make_toy_pairs(int64_t count, uint64_t seed, ToySplit split) {
  if (count < 1) throw ValueError(str("make_toy_pairs: count >= 1 expected, got ", count));
  Speaker speaker(seed, static_cast<uint32_t>(split));
  ParallelCorpus corpus;
  std::unordered_set<std::string> seen;
  while (corpus.size() < count) {
    Sentence sentence = speaker.sentence();
    std::string source = english(sentence);
    if (toy_split(source) != split || !fits(source)) continue;
    std::string target = german(sentence);
    if (!fits(target) || !seen.insert(source).second) continue;
    corpus.source.push_back(std::move(source));
    corpus.target.push_back(std::move(target));
  }
  return corpus;
}

}  // namespace heed::data
