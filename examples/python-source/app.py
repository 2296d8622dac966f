"""What people do, from a shop that posts lists of what happened to `/sources/NAME/orders`.

The class here is what the plugin can do. The module `wit_world` is made of the interface in `wit/` by the build. A rejection
is raised as `Err`; any other exception stops the plugin's instance, and the sender is told to come again.
"""

import json
import math
import re

from componentize_py_types import Err
from wit_world.exports.source import (
    Batch,
    Event,
    EventKind,
    Identity,
    Ignored,
    Page,
    Received,
    Rejection,
    RejectionKind,
    Response,
)
from wit_world.imports import config

# A body that nests deeper is refused: Python reads JSON by recursion, and the stack has an end.
DEPTH = 32


class Source:
    def receive(self, request):
        if request.path != "/orders":
            raise rejection(RejectionKind.NOT_FOUND, "events go to /orders")
        if request.method != "POST":
            raise rejection(RejectionKind.METHOD, "post a list of events")
        entries = parsed(request.body)
        events = [event for entry in entries if (event := read(entry)) and is_told(event)]
        # What was left out is said, and the rest is accepted: a sender that is refused sends all of it again, or nothing.
        left_out = len(entries) - len(events)
        answer = json.dumps({"accepted": len(events)}).encode()
        return Received(
            key=None,
            keyless=False,
            batches=[Batch(product_id=None, events=events, merges=[], extras=[])] if events else [],
            ignored=[Ignored("no event of a customer", left_out)] if left_out else [],
            response=Response(200, [("content-type", "application/json")], answer),
            extras=[],
        )

    def poll(self, call, about, cursor):
        """A shop that posts isn't asked."""
        return Page(batches=[], cursor=None, more=False, ignored=[], extras=[])


def parsed(raw):
    if is_deep(raw):
        raise rejection(RejectionKind.MALFORMED, f"the body nests deeper than {DEPTH}")
    try:
        entries = json.loads(raw.decode("utf-8", "replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise rejection(RejectionKind.MALFORMED, "the body is no JSON") from None
    if not isinstance(entries, list):
        raise rejection(RejectionKind.MALFORMED, "the body is no list")
    return entries


def is_deep(raw):
    """Whether a text in JSON nests too deep."""
    depth, is_quoted = 0, False
    for found in re.finditer(rb'\\.|["\[\]{}]', raw, re.DOTALL):
        sign = found.group()
        if sign == b'"':
            is_quoted = not is_quoted
        elif not is_quoted and sign in b"[{":
            depth += 1
        elif not is_quoted and sign in b"]}":
            depth -= 1
        if depth > DEPTH:
            return True
    return False


def read(entry):
    """An event of the shop; None where it is none, or nobody's."""
    if not isinstance(entry, dict):
        return None
    name, customer = text(entry.get("event")), name_in(entry.get("customer"))
    if not name or not customer:
        return None
    is_visit = name == "visited"
    return Event(
        # The shop numbers its events: one that is sent again counts once.
        id=name_in(entry.get("number")),
        kind=EventKind.PAGE if is_visit else EventKind.CUSTOM,
        name="" if is_visit else name,
        identity=Identity(session_id=None, anonymous_id=None, user_id=customer, email=None, extras=[]),
        at=seconds(entry.get("at")),
        title="",
        description="",
        url=text(entry.get("page")),
        page_title="",
        elements=[],
        properties=properties(entry),
        extras=[],
    )


def is_told(event):
    """Whether the operator wants it told."""
    return event.kind != EventKind.PAGE or config.get("visits") != "false"


def seconds(value):
    """A time; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        value = float(value)
    except OverflowError:
        return None
    return value if math.isfinite(value) else None


def properties(entry):
    """What else is known, as a text in JSON."""
    amount = entry.get("amount")
    return json.dumps({"amount": text(amount) if isinstance(amount, str) else seconds(amount)})


def text(value):
    """A text, in which half of a surrogate pair, which JSON can say and UTF-8 can't, becomes U+FFFD; empty for anything
    else."""
    if not isinstance(value, str):
        return ""
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def name_in(value):
    """An id: a text, or a whole number; empty for anything else."""
    if isinstance(value, int) and not isinstance(value, bool):
        # Larger ones are floats to other readers of the same JSON.
        return str(value) if -(2**63) <= value < 2**64 else ""
    return text(value).strip()


def rejection(kind, message):
    return Err(Rejection(kind, message))
