#!/usr/bin/env python3
"""The program `classify`: it learns, goes on, is evaluated and shown, and says what is wrong with
bad command lines and bad data.

classify_test.py BIN_DIR
"""
import gzip
import json
import os
import random
import re
import shutil
import struct
import xml.etree.ElementTree as ElementTree
import zlib

from command_line import bad, failures, good, same_loss_accumulated, test

XHTML = "{http://www.w3.org/1999/xhtml}"


def expect(fact, what):
    if not fact:
        failures.append(what)


def picture(side, label, rng):
    """Grey pixels: noise, with a bright third, whose place is the class."""
    third = side // 3
    return [[min(255, rng.randrange(60) + (180 if y // third == label else 0))
             for _ in range(side)] for y in range(side)]


def png(rows):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(
            ">I", zlib.crc32(kind + content))
    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, 0, 0, 0, 0)
    raw = b"".join(b"\0" + bytes(row) for row in rows)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw)) + \
        chunk(b"IEND", b"")


def idx(images, labels):
    side = len(images[0])
    return (struct.pack(">IIII", 0x803, len(images), side, side) +
            b"".join(bytes(row) for image in images for row in image),
            struct.pack(">II", 0x801, len(labels)) + bytes(labels))


def main(work):
    rng = random.Random(1)
    quick = ["--quiet", "--threads", "1"]
    small = ["--batch", "16", "--epochs", "1", *quick]
    tiny = ["--blocks", "1,1,1", "--width", "4"]  # of a resnet
    out = ["--out", work / "never"]

    def images(count):
        labels = [i % 3 for i in range(count)]
        return [picture(12, label, rng) for label in labels], labels

    mnist = work / "mnist"
    mnist.mkdir()
    for name, count in (("train", 96), ("t10k", 30)):
        pixels, labels = idx(*images(count))
        (mnist / f"{name}-images-idx3-ubyte.gz").write_bytes(gzip.compress(pixels))
        (mnist / f"{name}-labels-idx1-ubyte").write_bytes(labels)
    folder = work / "Bilder 猫"
    for part, count in (("train", 12), ("test", 6)):
        for i in range(count):
            directory = folder / part / f"class {i % 3}"
            directory.mkdir(parents=True, exist_ok=True)
            (directory / f"{i}.png").write_bytes(png(picture(12, i % 3, rng)))

    # The command line.
    bad("required", "classify")
    bad("one of train, eval, run", "classify", "learn")
    bad("no command 'learn'", "classify", "learn")
    bad("a command is required: one of train, eval, run", "classify")
    bad("(classify train --help", "classify", "train", "--colour", "red")
    bad("unknown: --frames 4", "classify", "train", "--frames", "4")
    bad("--arch: a value is missing", "classify", "train", "--arch")
    bad("--epochs: '1.5': a whole number expected", "classify", "train", *out, "--epochs", "1.5")
    bad("--lr: '1e': a number expected", "classify", "train", *out, "--lr", "1e")
    for flag in ("--data", "--init-from", "--augment", "--out", "--blocks", "--epochs"):
        bad(flag + ": ", "classify", "train", *out, flag, "")
        bad("expected", "classify", "train", *out, flag, "")
    bad("--model: a value expected", "classify", "eval", "--model", "")
    bad("--page is given more than once", "classify", "run", "--model", "m", "--page", "a",
        "--page", "b", "p.png")
    bad("--augment shift,: augmentation ''", "classify", "train", *out, "--augment", "shift,")
    bad("--test-every 100", "classify", "train", *out, "--data", folder / "train",
        "--test-every", "100")
    bad("resnet, resnet3d, vit", "classify", "train", *out, "--arch", "alexnet")
    bad("resnet20, resnet18", "classify", "train", *out, "--preset", "resnet3d")
    bad("--epochs 0", "classify", "train", *out, "--epochs", "0")
    bad("only one", "classify", "train", *out, "--epochs", "1", "--steps", "1")
    bad("--strides 0", "classify", "train", *out, "--strides", "1,0,2")
    bad("--strides", "classify", "train", *out, "--strides", "1,x")
    bad("--blocks 0", "classify", "train", *out, "--blocks", "0,1")
    bad("--strides 1,1 has 2: one number a stage expected of both, such as --strides 1,2,2",
        "classify", "train", *out, "--count", "20", "--strides", "1,1")
    bad("--blocks 1,1 has 2, --strides 1,2,2 has 3", "classify", "train", *out, "--count", "20",
        "--blocks", "1,1")
    bad("--slots", "classify", "train", *out, "--arch", "vit", "--slots", "1")
    bad("--patch", "classify", "train", *out, "--patch", "4")
    bad("--dropout", "classify", "train", *out, "--dropout", "0.1")
    bad("learned, sinusoidal, rope, none", "classify", "train", *out, "--arch", "vit",
        "--positions", "alibi")
    bad("class_token, mean", "classify", "train", *out, "--arch", "vit", "--pooling", "max")
    bad("sgd, adamw", "classify", "train", *out, "--optimizer", "lion")
    bad("shift, crop, flip, erase", "classify", "train", *out, "--augment", "rotate")
    bad("idx, cifar, folder, shapes, clips", "classify", "train", *out, "--data-format", "zip")
    bad("needs --data", "classify", "train", *out, "--data-format", "idx")
    bad("draws its pictures itself", "classify", "train", *out, "--data-format", "shapes",
        "--data", mnist)
    bad("--test-every 1", "classify", "train", *out, "--data", mnist, "--test-every", "1")
    bad("has test pictures", "classify", "train", *out, "--data", mnist, "--test-every", "5")
    bad("--valid 96", "classify", "train", *out, "--data", mnist, "--valid", "96")
    bad("--size", "classify", "train", *out, "--data", mnist, "--size", "12")
    bad("nowhere", "classify", "train", *out, "--data", work / "nowhere")
    bad("comma", "classify", "train", *out, "--data", mnist / "train-images-idx3-ubyte.gz")
    bad("nonesuch", "classify", "train", *out, "--slots", "1", "--attention", "nonesuch",
        "--count", "20")
    bad("slots", "classify", "train", *out, "--slots", "99", "--count", "20")
    bad("--count 20: of generated pictures", "classify", "train", *out, "--data", mnist,
        "--count", "20")
    bad("a larger batch", "classify", "train", *out, "--count", "20", "--batch", "1", "--size",
        "16", "--strides", "4,4,2")
    bad("there are none", "classify", "train", *out, "--slots", "0", "--heads", "2")
    bad("these are generated", "classify", "train", *out, "--test-every", "5")
    bad("no such file", "classify", "train", *out, "--data", "nowhere")
    bad("heads", "classify", "train", *out, "--slots", "1", "--heads", "7", "--count", "20")
    bad("patch", "classify", "train", *out, "--arch", "vit", "--patch", "64", "--count", "20")
    bad("resnet3d", "classify", "train", *out, "--data-format", "clips", "--count", "20")
    bad("resnet or vit", "classify", "train", *out, "--arch", "resnet3d", "--data-format",
        "shapes", "--count", "20")
    bad("HEED_DEVICE", "classify", "train", *out, env={"HEED_DEVICE": "cuda"})
    expect(not (work / "never").exists() or not any((work / "never").glob("step-*")),
           "a refused command left a checkpoint")

    # Defaults are shown, and which of them are whose.
    text = good("classify", "train", "--help")
    for part in ("--batch INT=128; shapes, clips, shapes with vit: 32",
                 "--lr FLOAT=0.1; vit: 0.002;", "--subsample INT=1",
                 "at most a tenth of all steps"):
        expect(part in text or part.replace("=", " [") in text, f"--help: {part}")

    # Data that are not as they should be.
    broken = work / "broken"
    broken.mkdir()
    for file in mnist.iterdir():
        (broken / file.name).write_bytes(file.read_bytes())
    (broken / "train-labels-idx1-ubyte").write_bytes(struct.pack(">II", 0x801, 5) + bytes(5))
    bad("train-labels-idx1-ubyte", "classify", "train", *out, "--data", broken)
    bad("no class folders", "classify", "train", *out, "--data", work / "mnist",
        "--data-format", "folder")
    (work / "Bilder 猫 2" / "train" / "a").mkdir(parents=True)
    bad("no picture in this class folder", "classify", "train", *out, "--data",
        work / "Bilder 猫 2")

    # A run on IDX files: learns, is evaluated, goes on, is shown.
    run = work / "run"
    text = good("classify", "train", "--data", mnist, "--slots", "1", "--attention", "efficient",
                "--strides", "1,1,1", "--out", run, *tiny, *small)
    for part in ("resnet20", "efficient in 1 slot", "87 pictures to learn from", "shift",
                 "1 thread,", "5 batches an epoch",
                 "best validation accuracy"):
        expect(part in text, f"train does not say '{part}': {text[:400]}")
    info = json.loads((run / (run / "best").read_text().strip() / "images.json").read_text())
    expect(info["classes"] == ["0", "1", "2"] and info["shape"] == [1, 12, 12],
           f"images.json: {info}")
    for name in ("attention.html", "losses.svg"):
        ElementTree.parse(run / name)
    bad("already holds checkpoints", "classify", "train", "--data", mnist, "--out", run, *small)
    bad("--slots 2", "classify", "train", "--out", run, "--resume", "--slots", "2")
    text = good("classify", "eval", "--model", run, "--threads", "1")
    expect("(30 images)" in text and "confusion matrix" in text, f"eval: {text}")
    rows = [line.split()[1:] for line in text.splitlines()[-3:]]
    expect([sum(map(int, row)) for row in rows] == [10, 10, 10], f"confusion matrix: {rows}")
    other = good("classify", "eval", "--model", run, "--data",
                 f"{mnist / 't10k-images-idx3-ubyte.gz'},{mnist / 't10k-labels-idx1-ubyte'}")
    expect(other.splitlines()[1:] == text.splitlines()[1:], "eval of the files is another")
    bad("class 0 is '0'", "classify", "eval", "--model", run, "--data", folder)
    for flag in ("--size", "--channels", "--valid"):  # the model knows, or it is of training
        bad(flag, "classify", "eval", "--model", run, flag, "3")
    bad("--count 10", "classify", "eval", "--model", run, "--count", "10")
    stopped = work / "stopped"
    shutil.copytree(run, stopped)
    (stopped / "best").unlink()
    bad("before its first evaluation; resume it", "classify", "eval", "--model", stopped)
    # The plan of a cosine stays; when all of it is done, only a new plan goes on.
    bad("--replan", "classify", "train", "--out", run, "--resume", "--epochs", "2")
    bad("--replan: it goes with --resume", "classify", "train", *out, "--replan")
    text = good("classify", "train", "--out", run, "--resume", "--epochs", "2", "--replan")
    expect("a new plan, cosine:lr=" in text, f"--replan does not say what changes: {text[:300]}")
    text = good("classify", "train", "--out", run, "--resume", "--epochs", "2")
    expect("plan" not in text, "a plan that is the same is no news")

    # Without test files: none of the pictures that were learned from serves as a test.
    pair = f"{mnist / 't10k-images-idx3-ubyte.gz'},{mnist / 't10k-labels-idx1-ubyte'}"
    good("classify", "train", "--data", pair, "--slots", "0", "--out", work / "untested", *tiny,
         *small)
    bad("train with --test-every", "classify", "eval", "--model", work / "untested")
    bad("no test; name others", "classify", "eval", "--model", work / "untested",
        "--test-every", "5")
    good("classify", "train", "--data", pair, "--test-every", "5", "--out", work / "fifth", *tiny,
         *small)
    expect("(6 images)" in good("classify", "eval", "--model", work / "fifth"), "every fifth")
    # Commas in names.
    comma = work / "MNIST, test"
    shutil.copytree(mnist, comma)
    for data in (comma, pair.replace(str(mnist), str(comma))):
        expect("(30 images)" in good("classify", "eval", "--model", work / "fifth", "--data", data),
               f"--data {data}")
    expect("(30 images)" in good("classify", "eval", "--model", work / "fifth", "--data", pair),
           "files named for eval are read as a whole")

    file = folder / "test" / "class 1" / "1.png"
    page = work / "page.html"
    text = good("classify", "run", "--model", run, file, file, "--query", "3,11", "--page", page)
    expect(text.count("%") == 6, f"run: three classes a picture expected: {text}")
    shown = [image.get("alt") for image in ElementTree.parse(page).getroot().iter(XHTML + "img")]
    expect(len(shown) == 4 and shown[1].startswith("slot 1, map 12 x 12: "),
           f"the page shows {shown}")
    bad("--query 12,0", "classify", "run", "--model", run, file, "--query", "12,0")
    bad("--query x", "classify", "run", "--model", run, file, "--query", "x")
    bad("text.png", "classify", "run", "--model", run, *[text_file(work)])
    os.mkfifo(work / "pipe.png")
    bad("pipe.png: not a regular file", "classify", "run", "--model", run, work / "pipe.png")
    bad("missing.png", "classify", "run", "--model", run, work / "missing.png")
    bad("no such directory", "classify", "run", "--model", work / "nowhere", file)
    expect("What the pixel 3,11, in the blue frame, attends to" in page.read_text(encoding="utf-8"),
           "the page: who looks?")
    # Data of another kind are named, and so is the model; weights are told by what they are.
    bad(f"--data {folder}: ", "classify", "eval", "--model", run, "--data", folder)
    bad(f"(of {run}", "classify", "eval", "--model", run, "--data", folder)
    zipped = work / "r18.pth"
    zipped.write_bytes(b"PK\x03\x04" + bytes(60))
    bad("zip", "classify", "train", "--data", folder, "--out", work / "z", "--init-from", zipped)

    # The same from one go as from two.
    def weights(directory):
        return (directory / (directory / "last").read_text().strip() /
                "weights.safetensors").read_bytes()

    same = ["--data", mnist, "--augment", "shift,crop,flip,erase", "--batch", "16",
            "--schedule", "constant", "--warmup", "5", "--seed", "3", *quick]
    for arch, size in (("resnet", tiny), ("vit", [])):
        once, twice = work / f"once-{arch}", work / f"twice-{arch}"
        good("classify", "train", *same, "--arch", arch, *size, "--steps", "7", "--out", once)
        good("classify", "train", *same, "--arch", arch, *size, "--steps", "3", "--out", twice)
        good("classify", "train", "--arch", arch, "--out", twice, "--resume", "--steps", "7")
        expect(weights(once) == weights(twice), f"a resumed run of {arch} has other weights")
    # A run that was stopped in the middle of its plan keeps it.
    same[same.index("--schedule") + 1] = "cosine"
    half = work / "half-of-a-plan"
    good("classify", "train", *same, *tiny, "--epochs", "2", "--keep-last", "2", "--out", half)
    first, second = sorted((int(path.name[5:]) for path in half.glob("step-*")))
    shutil.rmtree(half / f"step-{second}")
    for pointer in ("last", "best"):
        (half / pointer).write_text(f"step-{first}\n")
    text = good("classify", "train", "--out", half, "--resume", "--epochs", "3")
    expect("the plan stays cosine:lr=" in text, f"the plan of a stopped run: {text[:300]}")
    expect(f"steps={second}" in text, f"a plan of {second} updates: {text[:300]}")

    # The loss of an epoch is the mean over all its batches, however many make an update.
    same_loss_accumulated(work / "accumulate", "classify", "train", "--data", mnist, *tiny,
                          "--batch", "4", *quick)

    # The warm-up that nobody asked for is at most a tenth of the steps: of 21, 11 and 7.
    def warmup(directory):
        config = directory / (directory / "last").read_text().strip() / "config.json"
        return json.loads(config.read_text())["training"]["warmup"]

    steps = [warmup(work / "accumulate" / accumulate) for accumulate in ("1", "2", "3")]
    expect(steps == [2, 1, 0], f"default warm-up: {steps}")
    expect(warmup(work / "once-vit") == 5, "--warmup 5 is another")

    # Pictures in folders; weights from another run, with other classes too.
    vit = work / "vit"
    text = good("classify", "train", "--data", folder, "--arch", "vit", "--valid", "3",
                "--channels", "1", "--init-from", work / "once-vit", "--out", vit, *small)
    expect("weights from" in text and "but not" not in text, f"init-from: {text}")
    text = good("classify", "eval", "--model", vit)
    expect("(6 images)" in text, "eval of a folder")
    table = re.search(r"accuracy by class\n(.*?)\n\n", text, re.DOTALL)[1].splitlines()
    expect([line[27:] for line in table] == ["class 0", "class 1", "class 2"], f"names: {table}")
    good("classify", "run", "--model", vit, file, "--page", page)
    text = good("classify", "train", "--arch", "vit", "--count", "40", "--data-format", "shapes",
                "--size", "16", "--precision", "bf16", "--out", work / "bf16", *small)
    expect("in bf16" in text, f"bf16: {text[:200]}")

    # The run knows the size of its pictures: the first of the folder may have become another.
    good("classify", "train", "--data", folder / "train", "--test-every", "4", "--valid", "3",
         "--channels", "1", "--out", work / "fourth", *tiny, *small)
    first = folder / "train" / "class 0" / "0.png"
    content = first.read_bytes()
    first.write_bytes(png(picture(15, 0, rng)))
    good("classify", "train", "--out", vit, "--resume", "--epochs", "2", "--replan")
    expect("(3 images)" in good("classify", "eval", "--model", work / "fourth"), "every fourth")
    first.write_bytes(content)

    # Training never opens a test picture; an evaluation does.
    odd = folder / "test" / "class 0" / "odd.png"
    odd.write_bytes(b"hello")
    good("classify", "train", "--data", folder, "--valid", "3", "--out", work / "blind", *tiny,
         *small)
    bad(str(odd), "classify", "eval", "--model", work / "blind")
    odd.unlink()
    good("classify", "eval", "--model", work / "blind")
    text = good("classify", "train", "--data", folder, "--valid", "3", "--memory-limit", "256",
                "--size", "2048", "--steps", "1", "--batch", "1", "--subsample", "64", "--blocks",
                "1", "--strides", "16", "--width", "1", "--out", work / "on-demand", *quick)
    expect("read again whenever" in text, f"pictures of 150 MiB with a limit of 256: {text}")

    # A weights file of heed's own keeps its head, as a run does.
    step = vit / (vit / "last").read_text().strip()
    text = good("classify", "train", "--data", folder, "--arch", "vit", "--valid", "3",
                "--channels", "1", "--init-from", step / "weights.safetensors", "--out",
                work / "from-file", *small)
    expect("but not" not in text and "weights from" in text, f"--init-from a file: {text}")
    bad("--init-from", "classify", "train", "--out", vit, "--resume", "--init-from", work / "two")

    # Another class than when the run began.
    (folder / "train" / "another").mkdir()
    (folder / "train" / "another" / "1.png").write_bytes(png(picture(12, 0, rng)))
    bad(f"--data {folder}: 3 classes expected", "classify", "train", "--out", vit, "--resume",
        "--epochs", "3")
    bad(f"the run in {vit}", "classify", "train", "--out", vit, "--resume", "--epochs", "3")
    shutil.rmtree(folder / "train" / "another")

    for file in (folder / "train" / "class 2").iterdir():
        file.unlink()
    (folder / "train" / "class 2").rmdir()
    for file in (folder / "test" / "class 2").iterdir():
        file.unlink()
    (folder / "test" / "class 2").rmdir()
    text = good("classify", "train", "--data", folder, "--arch", "vit", "--valid", "2",
                "--channels", "1", "--init-from", vit, "--out", work / "two", *small)
    expect("but not head" in text, f"init-from with two classes: {text}")

    # Clips.
    clips = work / "clips"
    good("classify", "train", "--arch", "resnet3d", "--slots", "1", "--count", "40", "--batch",
         "16", "--steps", "2", "--width", "4", "--out", clips, *quick)
    expect("accuracy = " in good("classify", "eval", "--model", clips), "eval of clips")
    frames = [work / f"frame{i}.png" for i in range(8)]
    for frame in frames:
        frame.write_bytes(png(picture(12, 0, rng)))
    good("classify", "run", "--model", clips, *frames, "--page", page)
    shown = [image.get("alt") for image in ElementTree.parse(page).getroot().iter(XHTML + "img")]
    expect(shown[7] == "the frames, frame 8" and len(shown) > 8 and len(shown) % 8 == 0,
           f"the page of a clip shows {shown}")
    bad("8 pictures", "classify", "run", "--model", clips, *frames[:3])

    # Names with control characters do not reach the terminal.
    for i, name in enumerate(("plain", "e\033[31m\na")):
        for j in range(6):
            path = work / "names" / "train" / name / f"{j}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(picture(12, i, rng)))
    shutil.copytree(work / "names" / "train", work / "names" / "test")
    good("classify", "train", "--data", work / "names", "--out", work / "named", *tiny, *small)
    text = good("classify", "eval", "--model", work / "named")
    expect("\033" not in text and "e\ufffd[31m\ufffda" in text, f"a class's name: {text!r}")


def text_file(work):
    path = work / "text.png"
    path.write_text("not a picture")
    return path


test(main, least=60)
