// A toy language pair with a grammar: simple English into simple German. Every source sentence has
// exactly one translation, but no dictionary gets it right word by word, because the translation of
// a word depends on others:
//
// Agreement: "the" is der, die, das or den by gender, number and case of a noun further on; other
//   determiners, adjectives and verbs depend on it likewise.
//     the old dog sees a small cat .
//     der alte Hund sieht eine kleine Katze .
// Order: the finite verb stands second and the rest of it at the end; in clauses all of it goes to
//   the end. What comes first pushes the subject behind the verb. Time stands before place.
//     the girl has often called the king .
//     das Mädchen hat den König oft angerufen .
//     the man sleeps because the dog can not open the house .
//     der Mann schläft , weil der Hund das Haus nicht aufmachen kann .
//     tomorrow the cats will sing in the city .
//     morgen werden die Katzen in der Stadt singen .
// Context decides the translation of
//   crane, bat, bank and seal            the place (nature or town), wherever it stands
//   know (wissen, kennen), leave, move   an object or clause behind it
//   when (als, wenn), has (hat, ist)     the verb further on
//   light (hell, leicht)                 its noun
//   it (ihn, sie, es)                    the object of the clause before
//     at the river my king found a crane .
//     am Fluss fand mein König einen Kranich .
//     my king found a crane in the office .
//     mein König fand im Büro einen Kran .
// Fusion: "not ... a" is kein; "does" has no word of its own; "opens" is "macht ... auf".
//
// Order of a German clause, with F the finite verb and V the rest (prefix, participle, infinitive):
//   main clause             subject F  object time place  nicht V
//   behind anything else    F subject  object time place  nicht V
//   subordinate clause      subject    object time place  nicht V F
// An object without the, this, my or every stands behind time and place.
//
// Sentences have 4 to 20 tokens on both sides (words, "," and "."), separated by blanks; about 150
// English and 270 German forms; more than 10^12 sentences.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <heed/data/corpus.h>

namespace heed::data {

// Which split a sentence belongs to is read off a hash of its source (9/11 train, 1/11 each of the
// others), so no sentence is in two splits, whatever the seeds.
enum class ToySplit { train, valid, test };
ToySplit toy_split(std::string_view source);

// `count` different sentences and their translations; a pure function of (count, seed, split),
// where a smaller count gives the beginning of a larger one. ValueError when count < 1.
ParallelCorpus make_toy_pairs(int64_t count, uint64_t seed, ToySplit split = ToySplit::train);

}  // namespace heed::data
