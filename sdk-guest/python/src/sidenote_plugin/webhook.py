"""Requests in, events out, and what it takes to tell a genuine request from a forged one. For worlds that export `webhook`."""

import math
import time
from collections.abc import Iterable
from typing import Any, Literal

from componentize_py_types import Err
from wit_world.exports.webhook import (
    Answer,
    Event_Challenge,
    Event_Ignored,
    Event_Opened,
    Event_Replied,
    Rejection,
    Request,
    Turn,
)
from wit_world.imports import crypto
from wit_world.imports.crypto import Encoding, Hash

from .values import Unreadable, mapping, parse

# What a platform can vouch for.
Identity = Literal["session-id", "external-user-id", "email"]
Author = Literal["person", "agent", "bot"]
Happened = Literal["message", "typing", "closed", "reopened", "reaction"]


def rejection(status: int, code: str, message: str) -> Err[Rejection]:
    """Why a request is refused, to be raised: a status of 400 to 599, a short code, and a message for the operator."""
    return Err(Rejection(status, code, message))


def _unverified(message: str) -> Err[Rejection]:
    return rejection(401, "signature", message)


def single_header(request: Request, name: str) -> str | None:
    """The value of a header; None where it isn't there. Refused with 401 where it is there twice: two readers could see two
    requests."""
    values = [value for key, value in request.headers if key.lower() == name.lower()]
    if len(values) > 1:
        raise _unverified(f"the header {name} is there twice")
    return values[0] if values else None


def required_header(request: Request, name: str) -> str:
    """As `single_header`, of a header that must be there."""
    value = single_header(request, name)
    if value is None:
        raise _unverified(f"the header {name} is missing")
    return value


def verify(
    request: Request,
    *,
    header: str,
    secret: str,
    prefix: str = "",
    hash: Hash = Hash.SHA256,
    encoding: Encoding = Encoding.HEX,
    data: bytes | None = None,
) -> None:
    """Refuses a request that the platform didn't sign: raises a rejection with 401, or with 503 where the operator set no
    such secret. Nothing of a request means anything before.

    `prefix` stands before the signature, such as `sha256=`. `data` is what is signed where that isn't the body alone."""
    value = required_header(request, header)
    try:
        genuine = value.startswith(prefix) and crypto.hmac_verify(
            secret, hash, encoding, request.body if data is None else data, value.removeprefix(prefix)
        )
    except Err as error:
        # The operator gave no such secret: nothing can be verified.
        raise rejection(503, "secret", error.value) from None
    if not genuine:
        raise _unverified(f"the signature doesn't fit the body and the secret `{secret}`")


def check_age(seconds: float | str, *, within: float = 300, now: float | None = None) -> None:
    """Refuses a time, in seconds since the Unix epoch, that is further than so many seconds from this host's clock."""
    now = time.time() if now is None else now
    if isinstance(seconds, str):
        is_time = seconds.isascii() and seconds.isdigit() and len(seconds) <= 15
        seconds = int(seconds) if is_time else math.nan
    # What is no number is within nothing.
    if not abs(seconds - math.floor(now)) <= within:
        raise rejection(401, "timestamp", f"the timestamp is more than {within} seconds from this host's clock")


def read_json(request: Request) -> dict[str, Any]:
    """The body as a JSON object; refused with 400 where it is none. Read what is needed of it with `values`."""
    try:
        body = mapping(parse(request.body))
    except Unreadable as error:
        raise rejection(400, "body", f"the body {error}") from None
    if body is None:
        raise rejection(400, "body", "the body isn't a JSON object")
    return body


def turn(
    conversation_id: str | None,
    *,
    session_id: str | None = None,
    external_user_id: str | None = None,
    email: str | None = None,
    product_id: str | None = None,
    text: str | None = None,
    verified: Iterable[Identity] = (),
    author: Author | None = None,
    happened: Happened | None = None,
    option_id: str | None = None,
    message_id: str | None = None,
) -> Turn:
    """A turn of a conversation; refused with 400 where no conversation is named.

    `verified` names the fields for which the platform vouches: that they are this person's. What isn't named is a claim,
    which links a conversation only where the operator wants that. Names of fields that aren't set are left out. Of an agent
    or a bot leave the person's fields out."""
    if conversation_id is None:
        raise rejection(400, "body", "the conversation is missing")
    known = {"session-id": session_id, "external-user-id": external_user_id, "email": email}
    vouched = set(verified)
    names = [name for name in known if name in vouched and known[name] is not None]
    said = [
        ("verified", " ".join(names)),
        ("author", author),
        ("happened", happened),
        ("option-id", option_id),
        ("message-id", message_id),
    ]
    return Turn(
        conversation_id=conversation_id,
        session_id=session_id,
        external_user_id=external_user_id,
        email=email,
        product_id=product_id,
        text=text,
        extras=[(key, value) for key, value in said if value],
    )


def opened(turn: Turn) -> Event_Opened:
    """A person opened a conversation."""
    return Event_Opened(turn)


def replied(turn: Turn) -> Event_Replied:
    """Something happened in a conversation."""
    return Event_Replied(turn)


def ignored() -> Event_Ignored:
    """Genuine, and of no interest."""
    return Event_Ignored()


def challenge(body: bytes, *, status: int = 200, content_type: str = "text/plain") -> Event_Challenge:
    """The platform checks the address: send this back."""
    return Event_Challenge(Answer(status, content_type, body))
