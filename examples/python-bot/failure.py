"""What went wrong, and what the host is to do about it."""

import math
import re
import time
from email.utils import parsedate_to_datetime

from componentize_py_types import Err
from wit_world.imports.http import ErrorKind
from wit_world.imports.types import Failure, FailureKind, Sent


def failure(kind, code, message, sent, retry_after_ms=None):
    """`sent` says whether the platform may have the note: SENT where it answered that it doesn't."""
    return Err(Failure(kind, code, message, retry_after_ms, sent, []))


def from_status(status, headers):
    """What a response that isn't a success means."""
    # A gateway answers 408 or 5xx for a request that the platform behind it may have accepted; 503 says that
    # it was turned away.
    unknown = status == 408 or (status >= 500 and status != 503)
    sent = Sent.UNKNOWN if unknown else Sent.SENT
    pause = next((value for name, value in headers if name.lower() == "retry-after"), "")
    message = f"the platform answered {status}"
    return failure(kind_of(status), str(status), message, sent, retry_after_ms(pause.strip(), time.time()))


def kind_of(status):
    if status == 429:
        return FailureKind.RATE_LIMITED
    if status in (401, 403):
        return FailureKind.AUTH
    if status in (404, 410):
        return FailureKind.NOT_FOUND
    if status == 408 or status >= 500:
        return FailureKind.TRANSIENT
    return FailureKind.INVALID


KINDS = {
    # The operator can mend these two: the note waits for that.
    ErrorKind.DENIED: FailureKind.AUTH,
    ErrorKind.SECRET: FailureKind.AUTH,
    ErrorKind.INVALID: FailureKind.INVALID,
    ErrorKind.TOO_LARGE: FailureKind.PERMANENT,
    ErrorKind.CONNECT: FailureKind.TRANSIENT,
    ErrorKind.TIMEOUT: FailureKind.TRANSIENT,
    ErrorKind.IO: FailureKind.TRANSIENT,
}


def from_error(error):
    """What it means that there is no response."""
    code = f"http-{error.kind.name.lower().replace('_', '-')}"
    return failure(KINDS[error.kind], code, error.message, error.sent)


def retry_after_ms(value, now):
    """The pause that `Retry-After` asks for, in seconds or up to a date; None where it says nothing."""
    if re.fullmatch(r"[0-9]{1,10}(\.[0-9]+)?", value):
        return math.ceil(float(value)) * 1000
    if not value.endswith(" GMT"):
        return None
    try:
        return max(0, round((parsedate_to_datetime(value).timestamp() - now) * 1000))
    except (ValueError, OverflowError):
        return None
