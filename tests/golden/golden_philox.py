"""Philox4x32-10 known answers: three published with Random123, the others computed here."""
from golden_io import save_json

MASK = 0xFFFFFFFF
PUBLISHED = [
    ("zero", [0] * 4, [0] * 2, [0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]),
    ("ones", [MASK] * 4, [MASK] * 2, [0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD]),
    ("pi", [0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344], [0xA4093822, 0x299F31D0],
     [0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1]),
]
# Single bits, and a counter on either side of its first carry.
OURS = [
    ("counter_1", [1, 0, 0, 0], [0, 0]),
    ("counter_2", [2, 0, 0, 0], [0, 0]),
    ("before_carry", [MASK, 0, 0, 0], [42, 0]),
    ("after_carry", [0, 1, 0, 0], [42, 0]),
    ("high_words", [0, 0, 7, 9], [0x9ABCDEF0, 0x12345678]),
]


def philox(counter, key, rounds=10):
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(rounds):
        p0, p1 = c0 * 0xD2511F53, c2 * 0xCD9E8D57
        c0, c1, c2, c3 = (p1 >> 32) ^ c1 ^ k0, p1 & MASK, (p0 >> 32) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + 0x9E3779B9) & MASK, (k1 + 0xBB67AE85) & MASK
    return [c0, c1, c2, c3]


def make():
    for name, counter, key, out in PUBLISHED:
        if philox(counter, key) != out:
            raise ValueError(f"philox: published vector {name} not reproduced")
    words = lambda values: [f"{v:08x}" for v in values]
    rows = [(n, c, k, "Random123") for n, c, k, _ in PUBLISHED] + [(*r, "computed") for r in OURS]
    save_json("philox", [{"name": n, "source": source, "counter": words(c), "key": words(k),
                          "out": words(philox(c, k))} for n, c, k, source in rows])
