#include <heed/data/toy_lexicon.h>

#include <string_view>

namespace heed::data::toy {

namespace {
constexpr Gender m = Gender::masculine, f = Gender::feminine, n = Gender::neuter;

constexpr Noun kBeings[] = {
    {"man", "men", "Mann", "Männer", m, true},
    {"woman", "women", "Frau", "Frauen", f, true},
    {"child", "children", "Kind", "Kinder", n, true},
    {"girl", "girls", "Mädchen", "Mädchen", n, true},
    {"king", "kings", "König", "Könige", m, true},
    {"teacher", "teachers", "Lehrerin", "Lehrerinnen", f, true},
    {"dog", "dogs", "Hund", "Hunde", m},
    {"cat", "cats", "Katze", "Katzen", f},
    {"horse", "horses", "Pferd", "Pferde", n},
};
constexpr Noun kThings[] = {
    {"suitcase", "suitcases", "Koffer", "Koffer", m},
    {"letter", "letters", "Brief", "Briefe", m},
    {"door", "doors", "Tür", "Türen", f},
    {"lamp", "lamps", "Lampe", "Lampen", f},
    {"book", "books", "Buch", "Bücher", n},
    {"house", "houses", "Haus", "Häuser", n},
};
constexpr TwoNouns kAmbiguous[] = {
    {{"crane", "cranes", "Kranich", "Kraniche", m}, {"crane", "cranes", "Kran", "Kräne", m}},
    {{"bat", "bats", "Fledermaus", "Fledermäuse", f}, {"bat", "bats", "Schläger", "Schläger", m}},
    {{"bank", "banks", "Ufer", "Ufer", n}, {"bank", "banks", "Bank", "Banken", f}},
    {{"seal", "seals", "Robbe", "Robben", f}, {"seal", "seals", "Siegel", "Siegel", n}},
};

constexpr Adjective kForPersons[] = {{"old", "alt"},
                                     {"small", "klein"},
                                     {"beautiful", "schön"},
                                     {"young", "jung"},
                                     {"strange", "fremd"}};
constexpr Adjective kForOthers[] = {{"old", "alt"}, {"small", "klein"},   {"beautiful", "schön"},
                                    {"red", "rot"}, {"black", "schwarz"}, {"new", "neu"}};
constexpr Adjective kBright = {"light", "hell"}, kNotHeavy = {"light", "leicht"};

constexpr Takes any = Takes::anything, being = Takes::being, thing = Takes::thing;
constexpr Verb kTransitive[] = {
    {"see", "sees", "saw", "seen", "sieht", "sehen", "sah", "sahen", "sehen", "gesehen", "", false,
     any},
    {"find", "finds", "found", "found", "findet", "finden", "fand", "fanden", "finden", "gefunden",
     "", false, any},
    {"carry", "carries", "carried", "carried", "trägt", "tragen", "trug", "trugen", "tragen",
     "getragen", "", false, any},
    {"paint", "paints", "painted", "painted", "malt", "malen", "malte", "malten", "malen", "gemalt",
     "", false, any},
    {"forget", "forgets", "forgot", "forgotten", "vergisst", "vergessen", "vergaß", "vergaßen",
     "vergessen", "vergessen", "", false, any},
    {"open", "opens", "opened", "opened", "macht", "machen", "machte", "machten", "aufmachen",
     "aufgemacht", "auf", false, thing},
    {"call", "calls", "called", "called", "ruft", "rufen", "rief", "riefen", "anrufen", "angerufen",
     "an", false, being},
    {"know", "knows", "knew", "known", "kennt", "kennen", "kannte", "kannten", "kennen", "gekannt",
     "", false, any},
    {"leave", "leaves", "left", "left", "verlässt", "verlassen", "verließ", "verließen",
     "verlassen", "verlassen", "", false, any},
    {"move", "moves", "moved", "moved", "bewegt", "bewegen", "bewegte", "bewegten", "bewegen",
     "bewegt", "", false, any},
};
constexpr Verb kIntransitive[] = {
    {"sleep", "sleeps", "slept", "slept", "schläft", "schlafen", "schlief", "schliefen", "schlafen",
     "geschlafen", "", false},
    {"sing", "sings", "sang", "sung", "singt", "singen", "sang", "sangen", "singen", "gesungen", "",
     false},
    {"wait", "waits", "waited", "waited", "wartet", "warten", "wartete", "warteten", "warten",
     "gewartet", "", false},
    {"arrive", "arrives", "arrived", "arrived", "kommt", "kommen", "kam", "kamen", "ankommen",
     "angekommen", "an", true},
    {"leave", "leaves", "left", "left", "geht", "gehen", "ging", "gingen", "gehen", "gegangen", "",
     true},
    {"move", "moves", "moved", "moved", "zieht", "ziehen", "zog", "zogen", "umziehen", "umgezogen",
     "um", true},
};
constexpr Verb kSpeaking[] = {
    {"know", "knows", "knew", "known", "weiß", "wissen", "wusste", "wussten", "wissen", "gewusst",
     "", false, Takes::clause},
    {"say", "says", "said", "said", "sagt", "sagen", "sagte", "sagten", "sagen", "gesagt", "",
     false, Takes::clause},
    {"believe", "believes", "believed", "believed", "glaubt", "glauben", "glaubte", "glaubten",
     "glauben", "geglaubt", "", false, Takes::clause},
};
constexpr Verb kBe = {"be",  "is",    "was",  "been",    "ist", "sind",
                      "war", "waren", "sein", "gewesen", "",    true};

constexpr Time kTimes[] = {
    {"yesterday", "gestern", When::past},
    {"today", "heute", When::any},
    {"tomorrow", "morgen", When::future},
    {"now", "jetzt", When::present},
};
constexpr Place kPlaces[] = {
    {"in the forest", "im Wald", true},   {"at the river", "am Fluss", true},
    {"in the garden", "im Garten", true}, {"in the city", "in der Stadt", false},
    {"in the office", "im Büro", false},  {"at the market", "auf dem Markt", false},
};
constexpr Word kAdverbs[] = {{"often", "oft"}, {"always", "immer"}, {"never", "nie"}};
}  // namespace

std::span<const Noun> beings() { return kBeings; }
std::span<const Noun> things() { return kThings; }
std::span<const TwoNouns> ambiguous() { return kAmbiguous; }
std::span<const Adjective> adjectives(bool person) {
  return person ? std::span<const Adjective>(kForPersons) : std::span<const Adjective>(kForOthers);
}
const Adjective& light(const Noun& thing) {
  std::string_view name = thing.en;
  return name == "lamp" || name == "house" ? kBright : kNotHeavy;
}
std::span<const Verb> transitive() { return kTransitive; }
std::span<const Verb> intransitive() { return kIntransitive; }
std::span<const Verb> speaking() { return kSpeaking; }
const Verb& be() { return kBe; }
std::span<const Time> times() { return kTimes; }
std::span<const Place> places() { return kPlaces; }
std::span<const Word> adverbs() { return kAdverbs; }

}  // namespace heed::data::toy
