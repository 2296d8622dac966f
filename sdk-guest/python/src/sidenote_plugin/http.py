"""One request, one response, through the host's door to the network."""

from collections.abc import Iterable
from json import dumps
from typing import Any
from urllib.parse import quote

from componentize_py_types import Err
from wit_world.imports import http
from wit_world.imports.http import Request, Response
from wit_world.imports.types import Sent

from . import failure
from .values import well_formed

_NONE: Any = object()


def exchange(
    url: str,
    *,
    method: str | None = None,
    headers: Iterable[tuple[str, str]] = (),
    body: bytes | str | None = None,
    json: Any = _NONE,
    secrets_in_body: bool = False,
    timeout_ms: int | None = None,
) -> Response:
    """One request, one response, whatever its status. Raises a failure where there is none. The host decides about trying
    again: don't retry.

    `json` is a body in JSON, with its content type, in the place of `body`. The method is `POST` where there is a body, else
    `GET`. Never set `secrets_in_body` for a body that holds text which others wrote: a placeholder in it stays text."""
    headers = list(headers)
    if json is not _NONE:
        body = _written(json)
        headers.insert(0, ("content-type", "application/json"))
    content = body.encode() if isinstance(body, str) else body or b""
    method = method or ("GET" if body is None else "POST")
    try:
        return http.send(Request(method, url, headers, content, secrets_in_body, timeout_ms))
    except Err as error:
        raise failure.from_error(error.value) from None


def _written(value: Any) -> bytes:
    try:
        return dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError):
        raise failure.invalid("json", "the body has no form in JSON", sent=Sent.NOT_SENT) from None


def raise_for_status(response: Response) -> Response:
    """The response where its status is 2xx; raises the failure that it means otherwise."""
    if not 200 <= response.status <= 299:
        raise failure.from_status(response)
    return response


def secret(name: str) -> str:
    """The placeholder of a secret, for a header's value."""
    return f"{{{{secret:{name}}}}}"


def header(message: Any, name: str) -> str | None:
    """The first value of a header of a request or a response, whatever the case of its name."""
    return next((value for key, value in message.headers if key.lower() == name.lower()), None)


def is_truncated(response: Response) -> bool:
    """Whether the body was larger than the plugin's `max_response` and ends there. The platform has the request all the
    same."""
    return header(response, "x-sidenote-truncated") is not None


def encode(text: str) -> str:
    """A text as one segment of a path, or as a name or value of a query. Use it for every id that goes into an address."""
    encoded = quote(well_formed(text), safe="")
    # A segment of dots leads elsewhere, `%2E` too. Encoded twice it names something that isn't there.
    return encoded.replace(".", "%252E") if encoded in (".", "..") else encoded
