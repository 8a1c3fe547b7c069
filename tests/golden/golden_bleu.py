"""Corpus BLEU and the 13a tokenizer, as sacreBLEU has them."""
from sacrebleu.metrics import BLEU
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from golden_io import save_json

FOX = "The quick brown fox jumps over the lazy dog ."
LONG = ["A man in an orange hat starring at something.",
        "A Boston Terrier is running on lush green grass in front of a white fence.",
        "A girl in karate uniform breaking a stick with a front kick.",
        "Five people wearing winter jackets and helmets stand in the snow, with snowmobiles "
        "in the background."]

CASES = {  # name: (hypotheses, references)
    "perfect": (LONG, LONG),
    "ordinary": (["A man with an orange hat is staring at something.",
                  "A Boston Terrier runs on lush green grass in front of a white fence.",
                  "A girl in a karate uniform breaks a stick with a kick.",
                  "Five people in winter jackets and helmets stand in the snow with snowmobiles."],
                 LONG),
    "empty_line": (["A man in an orange hat .", "", "A girl in karate uniform ."], LONG[:3]),
    "all_empty": (["", ""], LONG[:2]),
    "empty_reference": (["something here", FOX], ["", FOX]),
    "blank_lines": (["   ", "\t" + FOX + "  "], [FOX, "  " + FOX]),
    "no_4gram": (["the cat sat down"], ["the cat sat quietly down"]),
    "no_3gram_no_4gram": (["brown dog lazy fox over the"], ["the quick brown dog over lazy"]),
    "no_match": (["alpha beta gamma delta epsilon"], ["one two three four five"]),
    "shorter_than_4": (["hello world"], ["hello world"]),
    "one_word": (["yes"], ["yes"]),
    "short_and_long": (["yes", FOX], ["no", FOX]),
    "brevity": (["The quick brown fox jumps"], [FOX]),
    "too_long": ([FOX + " and then it runs away very fast"], [FOX]),
    "clipping": (["the the the the the the the"], ["the cat is on the mat"]),
    "case_matters": ([FOX.lower()], [FOX]),
    "numbers": (["It costs 1,000.50 dollars in 2016-17, i.e. 3.5% more than 99 ."],
                ["It costs 1,000.50 dollars in 2016-17 , i.e. 3.5 % more than $99."]),
    "punctuation": (["\"Well,\" he said, \"it's (almost) done!\" - really?"],
                    ["\" Well , \" he said , \" it's ( almost ) finished ! \" - really ?"]),
    "entities": (["Tom &amp; Jerry say &quot;hello there my friend&quot; &lt;b&gt;"],
                 ["Tom & Jerry say \"hello there my friend\" <b>"]),
    "unicode": (["Zwei junge weiße Männer sind im Freien in der Nähe vieler Büsche.",
                 "Ein Mädchen läuft über die Straße – schnell!", "我 喜欢 吃 苹果 。"],
                ["Zwei junge weiße Männer sind draußen in der Nähe vieler Büsche.",
                 "Ein Mädchen rennt über die Straße – schnell!", "我 喜欢 吃 香蕉 。"]),
    "hyphens": (["a well-known 10-year-old boy plays the 2-1 match of 2016-2017 again"],
                ["a well-known 10-year old boy plays the 2-1 match of 2016 - 2017 again"]),
    "smoothing_many_lines": (["a b c d e", "f g h i", "x y z"], ["a b c x e", "f g i h", "z y x"]),
}

LINES = [
    "", "   ", "Hello, world!", "  leading and trailing  ", "a  b   c", "tab\there",
    "It's John's book.", "don't can't won't", "U.S.A. and e.g. this", "Mr. Smith went.",
    "end.", "end...", "wait... what?", "3.14", "1,000", "1,000,000.50", ".5", "5.", "a.b", "a,b",
    "1.a", "a.1", "1,a", "a,1", "v1.2.3", "10-20", "10-year-old", "pre-2016", "2016-17",
    "well-known", "3-", "-3", "5%", "$99.95", "#1", "user@host.name", "path://a.b/c?d=e&f=g",
    "&quot;quoted&quot;", "Tom &amp; Jerry", "&lt;b&gt; bold &lt;/b&gt;", "&amp;quot; &amp;lt;",
    "&apos; stays &nbsp;", "<skipped> gone <skipped>", "hyphen-\nated line", "two\nlines",
    "(parens) [brackets] {braces}", "a/b\\c|d", "x+y=z*2", "\"double\" 'single' `back`",
    "semi; colon: dash - em—dash – en", "Zürich, weiße Bären!", "naïve café.", "日本語。テスト、です",
    "emoji 😀!", "non\u00a0breaking\u00a0space", "thin\u2009space", "line\u2028separator",
    "zero\u200bwidth", "„deutsche“ ‚Anführung‘ «guillemets»", "5€ 5 €", "١٢٣.٤٥", "½.5 ²,3",
    "~^_", "1.000,50", "12:30", "3:2", "50/50", "A.1.B.2", ",,,", "...", ".,.", "1.,2", "é.1 1.é",
]


def score(name, hypotheses, references):
    bleu = BLEU()  # 13a, cased, exp: the defaults
    s = bleu.corpus_score(hypotheses, [references])
    return {"name": name, "hyps": hypotheses, "refs": references, "score": s.score,
            "precisions": s.precisions, "brevity_penalty": s.bp, "matches": s.counts,
            "totals": s.totals, "hyp_length": s.sys_len, "ref_length": s.ref_len,
            "signature": str(bleu.get_signature())}


def make():
    tokenize = Tokenizer13a()
    save_json("bleu_cases", {
        "cases": [score(name, *case) for name, case in CASES.items()],
        "tokenizer_13a": [{"in": line, "out": tokenize(line)} for line in LINES]})
