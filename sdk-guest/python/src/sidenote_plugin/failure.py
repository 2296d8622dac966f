"""What went wrong, and what the host is to do about it. Failures are raised: `raise rate_limited("429", "slow down")`."""

import math
import re
import time
from collections.abc import Iterable
from email.utils import parsedate_to_datetime
from typing import Literal

from componentize_py_types import Err
from wit_world.imports.http import Error, ErrorKind, Response
from wit_world.imports.types import Failure, FailureKind, Posted, Sent

# What a platform's limit is for: all that is sent with these credentials, or the one conversation.
LimitScope = Literal["account", "conversation"]

_SECOND_MS = 1_000
# What the host does about each reason why there is no response.
_KINDS = {
    # The operator can mend these two: the note waits for that.
    ErrorKind.DENIED: FailureKind.AUTH,
    ErrorKind.SECRET: FailureKind.AUTH,
    ErrorKind.INVALID: FailureKind.INVALID,
    ErrorKind.TOO_LARGE: FailureKind.PERMANENT,
    ErrorKind.CONNECT: FailureKind.TRANSIENT,
    ErrorKind.TIMEOUT: FailureKind.TRANSIENT,
    ErrorKind.IO: FailureKind.TRANSIENT,
}


def failure(
    kind: FailureKind,
    code: str,
    message: str,
    *,
    sent: Sent = Sent.UNKNOWN,
    retry_after_ms: float | None = None,
    limit_scope: LimitScope | None = None,
) -> Err[Failure]:
    """A failure to raise. `sent` says whether the platform may have the note: `SENT` where it refused it."""
    pause = None if retry_after_ms is None else _millis(retry_after_ms)
    return Err(Failure(kind, code, message, pause, sent, _scoped(limit_scope)))


def transient(
    code: str, message: str, *, sent: Sent = Sent.UNKNOWN, retry_after_ms: float | None = None
) -> Err[Failure]:
    """The host tries again later."""
    return failure(FailureKind.TRANSIENT, code, message, sent=sent, retry_after_ms=retry_after_ms)


def rate_limited(
    code: str,
    message: str,
    *,
    sent: Sent = Sent.UNKNOWN,
    retry_after_ms: float | None = None,
    limit_scope: LimitScope | None = None,
) -> Err[Failure]:
    """The host waits for `retry_after_ms` and tries again; no attempt is used up. It holds back the whole account where no
    `limit_scope` is said."""
    return failure(
        FailureKind.RATE_LIMITED,
        code,
        message,
        sent=sent,
        retry_after_ms=retry_after_ms,
        limit_scope=limit_scope,
    )


def auth(code: str, message: str, *, sent: Sent = Sent.UNKNOWN) -> Err[Failure]:
    """The credentials were refused: the host tries again later and tells the operator."""
    return failure(FailureKind.AUTH, code, message, sent=sent)


def not_found(code: str, message: str, *, sent: Sent = Sent.UNKNOWN) -> Err[Failure]:
    """The conversation isn't there: a dead letter."""
    return failure(FailureKind.NOT_FOUND, code, message, sent=sent)


def invalid(code: str, message: str, *, sent: Sent = Sent.UNKNOWN) -> Err[Failure]:
    """The request is wrong: a dead letter."""
    return failure(FailureKind.INVALID, code, message, sent=sent)


def permanent(code: str, message: str, *, sent: Sent = Sent.UNKNOWN) -> Err[Failure]:
    """It will never succeed: a dead letter."""
    return failure(FailureKind.PERMANENT, code, message, sent=sent)


def misconfigured(message: str) -> Err[Failure]:
    """The plugin's configuration can't be used: nothing was sent."""
    return invalid("config", message, sent=Sent.NOT_SENT)


def from_status(response: Response) -> Err[Failure]:
    """What a response that isn't a success means, with its `Retry-After`: 429 is rate-limited, 401 and 403 are auth, 404 and
    410 not-found, 408 and 5xx transient, others invalid."""
    status = response.status
    # A gateway answers 408 or 5xx for a request that the platform behind it may have accepted; 503 says that
    # it was turned away.
    unknown = status == 408 or (status >= 500 and status != 503)
    return failure(
        _kind_of(status),
        str(status),
        f"the platform answered {status}",
        sent=Sent.UNKNOWN if unknown else Sent.SENT,
        retry_after_ms=retry_after_ms(response.headers),
    )


def _kind_of(status: int) -> FailureKind:
    if status == 429:
        return FailureKind.RATE_LIMITED
    if status in (401, 403):
        return FailureKind.AUTH
    if status in (404, 410):
        return FailureKind.NOT_FOUND
    if status == 408 or status >= 500:
        return FailureKind.TRANSIENT
    return FailureKind.INVALID


def from_error(error: Error) -> Err[Failure]:
    """What it means that there is no response."""
    code = f"http-{error.kind.name.lower().replace('_', '-')}"
    return failure(_KINDS[error.kind], code, error.message, sent=error.sent)


def retry_after_ms(headers: Iterable[tuple[str, str]], now: float | None = None) -> int | None:
    """The pause that `Retry-After` asks for, in seconds or up to a date; None where it says nothing."""
    value = next((value for name, value in headers if name.lower() == "retry-after"), "").strip()
    if re.fullmatch(r"[0-9]{1,10}(\.[0-9]+)?", value):
        return math.ceil(float(value)) * _SECOND_MS
    if not value.endswith(" GMT"):
        return None
    try:
        at = parsedate_to_datetime(value).timestamp()
    except (ValueError, OverflowError):
        return None
    return max(0, round((at - (time.time() if now is None else now)) * _SECOND_MS))


def is_passing(failure: Failure) -> bool:
    """Whether it passes by itself: transient and rate-limited do."""
    return failure.kind in (FailureKind.TRANSIENT, FailureKind.RATE_LIMITED)


def posted(
    note_id: str | None = None,
    *,
    pause_ms: float | None = None,
    limit_scope: LimitScope | None = None,
) -> Posted:
    """The platform has the note. `pause_ms` says that it takes nothing more for so long, and `limit_scope` of what: for
    platforms that tell how much of a limit is left."""
    pause = [] if pause_ms is None else [("pause-ms", str(_millis(pause_ms)))]
    return Posted(note_id=note_id, extras=pause + _scoped(limit_scope))


def _millis(value: float) -> int:
    return max(0, math.ceil(value))


def _scoped(limit_scope: LimitScope | None) -> list[tuple[str, str]]:
    return [] if limit_scope is None else [("limit-scope", limit_scope)]
