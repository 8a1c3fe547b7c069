#!/usr/bin/env python3
"""The programs learn a tokenizer from text with long lines, code, and characters that it lacks.

tokenizer_test.py BIN_DIR
"""
import random
import re

from command_line import bad, failures, good, run, test

LETTERS = "abcdefghij"
CODE = ["def f(x):", "    if x  >  3:", "        return x", "\treturn  -x", ""]


def main(work):
    def write(name, lines):
        path = work / name
        path.write_text("\n".join(lines) + "\n")
        return path

    def expect(fact, what):
        if not fact:
            failures.append(what)

    choose = random.Random(1)
    words = ["".join(choose.choices(LETTERS, k=choose.randint(3, 7))) for _ in range(300)]
    long = [" ".join(choose.choices(words, k=900)) for _ in range(20)]
    few = write("few.txt", [*long, "zz yy xx", "zz yy xx"])
    only = write("only.txt", long)
    line = write("line.txt", [" ".join(words[:150])])
    quick = ["--steps", "1", "--batch", "2", "--context", "32", "--threads", "1", "--quiet"]

    # Lines beyond 4,192 bytes, which SentencePiece leaves out by itself.
    mixed = write("mixed.txt", [*long, *[" ".join(words[i:i + 6]) for i in range(20)]])
    for kind in ("bpe", "unigram"):
        for text in (few, only):
            out = good("lm", "train", "--text", text, "--tokenizer", kind, "--vocab-size", "300",
                       "--out", work / f"{kind}-{text.stem}", *quick)
            size = int(re.search(r"(\d+) tokens in the vocabulary", out)[1])
            expect(size > 250, f"{kind}, {text.name}: {size} tokens in the vocabulary")
        # The long pairs are too long to train on, and the one that is tested on for a picture.
        model = work / f"{kind}-pairs"
        out = good("translate", "train", "--src", mixed, "--tgt", mixed, "--valid-src", line,
                   "--valid-tgt", line, "--max-length", "800", "--tokenizer", kind, "--vocab-size",
                   "300", "--steps", "1", "--average", "1", "--bleu-sentences", "0", "--beam", "1",
                   "--threads", "1", "--quiet", "--out", model)
        expect("300 tokens in the vocabulary" in out, f"translate, {kind}: {out}")
        expect(not (model / "attention.html").exists(), f"translate, {kind}: a page of {line}")

    # What the text cannot give, and what the library leaves out, is said once.
    said = run(["lm", "train", "--text", write("odd.txt", ["a ▅ b"] * 30 + ["good day"] * 30),
                "--tokenizer", "bpe", "--vocab-size", "500", "--out", work / "odd", *quick],
               env={"HEED_LOG": "info"}).stderr.decode()
    expect(said.count("30 of 60 lines") == 1 and said.count("not the 500 asked for") == 1, said)

    # Blanks are kept. The prompt comes back through encode and decode.
    code = write("code.py", CODE * 40)
    for kind in ("bpe", "unigram"):
        model = work / f"code-{kind}"
        good("lm", "train", "--text", code, "--tokenizer", kind, "--vocab-size", "300",
             "--keep-whitespace", "--out", model, *quick)
        for prompt in ("    if x  >  3:", "\t\tx ", "  # 漢 😀", " "):
            out = good("lm", "generate", "--model", model, "--prompt", prompt, "--tokens", "0")
            expect(out == prompt + "\n", f"{kind}: {prompt!r} came back as {out!r}")
        for seed in range(5):  # mostly bytes, by a model that has hardly learned
            out = run(["lm", "generate", "--model", model, "--tokens", "60", "--seed", str(seed),
                       "--temperature", "3"]).stdout
            try:
                expect(len(out.decode()) > 5, f"seed {seed}: {out!r}")
            except UnicodeDecodeError:
                failures.append(f"seed {seed}: not UTF-8: {out!r}")

    # Bytes need 256 tokens, and a tokenizer of pieces.
    train = ["lm", "train", "--text", code, "--out", work / "never"]
    bad("vocab_size of at least", *train, "--tokenizer", "bpe", "--vocab-size", "100",
        "--byte-fallback", *quick)
    bad("--byte-fallback needs --tokenizer bpe", *train, "--byte-fallback")
    bad("--keep-whitespace needs --tokenizer bpe", *train, "--tokenizer", "word",
        "--keep-whitespace")
    pairs = ["translate", "train", "--src", code, "--tgt", code, "--skip-empty", "--out",
             work / "never"]
    bad("--byte-fallback needs --tokenizer bpe", *pairs, "--tokenizer", "word", "--byte-fallback")
    bad("at least", *pairs, "--tokenizer", "unigram", "--vocab-size", "200", "--byte-fallback")


test(main, least=21)
