"""What the scripts of this folder share: hostile tokens, their form in pictures, the pictures."""
import pathlib
import subprocess

# As bytes, since a token need not be UTF-8.
TOKENS = [b"</script><script>window.hurt = 1</script>", b"<b>bold</b>",
          b"\"double\" 'single' & amp;", b"]]>", b"<!--", b"a\nb\tc", b"\x01\x1b\x7f", b"\xff\xc3(",
          b"\xef\xbf\xbf", "\u2028".encode(), "猫".encode(), "مرحبا".encode(), "Mädchen".encode(),
          "👩‍🔬".encode(), b" blank ", b"WWWWmmmm@@%%", b"${x}`\\u0041", b""]


def shown(token):
    """The text that stands for a token in a picture."""
    text = ""
    while token:  # a bad byte becomes one U+FFFD, whatever follows
        try:
            text, token = text + token.decode(), b""
        except UnicodeDecodeError as error:
            text += token[:error.start].decode() + "\ufffd"
            token = token[error.start + 1:]
    symbols = {code: 0x2400 + code for code in range(32)}
    return text.translate({**symbols, 0x7F: 0x2421, 0xFFFE: 0xFFFD, 0xFFFF: 0xFFFD})


def make_pictures(bin_dir, directory):
    subprocess.run([pathlib.Path(bin_dir) / "viz_pictures", directory, *TOKENS], check=True,
                   timeout=60)
    return pathlib.Path(directory)
