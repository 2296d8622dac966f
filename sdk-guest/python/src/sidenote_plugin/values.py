"""JSON as platforms write it, and what is in it: a value of another type takes nothing else with it."""

import json
import math
import re
from typing import Any

_DEEPEST = 64


class Unreadable(ValueError):
    """Why a body can't be read, in words that go on after "the body": it "isn't JSON". The body itself is left out."""


def parse(body: bytes, *, deepest: int = _DEEPEST) -> Any:
    """Reads JSON. Bytes that aren't UTF-8 become U+FFFD, and a byte order mark is left out. Raises `Unreadable` for what
    isn't JSON, and for what nests deeper than so many levels: Python reads JSON by recursion, and the stack has an end."""
    if _is_deep(body, deepest):
        raise Unreadable(f"nests deeper than {deepest} levels")
    try:
        return json.loads(body.decode("utf-8", "replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise Unreadable("isn't JSON") from None


def _is_deep(body: bytes, deepest: int) -> bool:
    # A long text without brackets needs no look at each of its characters.
    if body.count(b"[") + body.count(b"{") <= deepest:
        return False
    depth, is_quoted = 0, False
    for found in re.finditer(rb'\\.|["\[\]{}]', body, re.DOTALL):
        sign = found.group()
        if sign == b'"':
            is_quoted = not is_quoted
        elif not is_quoted and sign in b"[{":
            depth += 1
        elif not is_quoted and sign in b"]}":
            depth -= 1
        if depth > deepest:
            return True
    return False


def id(value: object) -> str | None:
    """An id or an address as text: platforms write numbers for them, and texts, and change their mind. A whole number is its
    digits. A blank text and anything else name nobody: None."""
    if isinstance(value, int) and not isinstance(value, bool):
        # Larger ones are floats to other readers of the same JSON.
        return str(value) if -(2**63) <= value < 2**64 else None
    known = text(value)
    return known if known and known.strip() else None


def text(value: object) -> str | None:
    """A text, in which half of a surrogate pair, which JSON can say and UTF-8 can't, becomes U+FFFD; None for anything
    else."""
    return well_formed(value) if isinstance(value, str) else None


def number(value: object) -> float | None:
    """A finite number as a float; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def mapping(value: object) -> dict[str, Any] | None:
    """An object of JSON; None for anything else."""
    return value if isinstance(value, dict) else None


def elements(value: object) -> list[Any]:
    """The elements of a list; none where it is none."""
    return value if isinstance(value, list) else []


def well_formed(value: str) -> str:
    """A text without halves of surrogate pairs: each becomes U+FFFD."""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
