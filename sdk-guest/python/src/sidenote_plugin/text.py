"""What people wrote, made fit for a platform: escaped, cut, split."""

import html
import re

from .values import well_formed

# What a text that was cut ends with, so that nobody thinks that it is the whole.
_MARK = "… [cut]"
_ODD = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")


def clean(text: str) -> str:
    """A text without control characters, of which each but line ends and tabs becomes U+FFFD. The others here do the same."""
    return _ODD.sub("\ufffd", well_formed(text))


def escape_html(text: str) -> str:
    """A text that HTML shows as it is, between tags and in attributes. Line breaks stay line breaks."""
    return html.escape(clean(text)).replace("&#x27;", "&#39;")


def cut(text: str, most: int) -> str:
    """A text of at most so many characters. Where something is cut off, `… [cut]` at the end shows it; a limit that is too
    small for that gets none. Cut before you escape: the cut could go through an entity."""
    text = clean(text)
    if len(text) <= most:
        return text
    left = most - len(_MARK)
    return text[:left].rstrip() + _MARK if left > 0 else text[: max(0, most)]


def split(text: str, most: int) -> list[str]:
    """A text in pieces of at most so many characters, parted at line ends where possible, else at blanks, else anywhere. The
    line end or the blank between two pieces is left out. There is always a piece."""
    text, most = clean(text), max(1, most)
    pieces: list[str] = []
    begin = 0
    while len(text) - begin > most:
        # What follows the piece may be the line end, so it is looked at too.
        window = text[begin : begin + most + 1]
        place = next((at for at in (window.rfind("\n"), window.rfind(" ")) if at > 0), None)
        pieces.append(window[: most if place is None else place])
        begin += most if place is None else place + 1
    if begin < len(text) or not pieces:
        pieces.append(text[begin:])
    return pieces
