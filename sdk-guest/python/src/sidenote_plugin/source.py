"""What people do, as a tool or a product's own code tells it. For worlds that export `source`."""

from collections.abc import Iterable
from json import dumps
from typing import Any

from componentize_py_types import Err
from wit_world.exports.source import (
    Batch,
    Element,
    Event,
    EventKind,
    Identity,
    Ignored,
    Merge,
    Page,
    Received,
    Rejection,
    RejectionKind,
    Response,
)


def rejection(kind: RejectionKind, message: str) -> Err[Rejection]:
    """Why a request is refused, to be raised. The message is for the sender's log, without what people wrote."""
    return Err(Rejection(kind, message))


def event(
    kind: EventKind,
    name: str,
    *,
    id: str = "",
    session_id: str | None = None,
    anonymous_id: str | None = None,
    user_id: str | None = None,
    email: str | None = None,
    at: float | None = None,
    title: str = "",
    description: str = "",
    url: str = "",
    page_title: str = "",
    elements: Iterable[Element] = (),
    properties: Any = None,
    extras: Iterable[tuple[str, str]] = (),
) -> Event:
    """Something that happened; what isn't said of it is empty. `properties` is a dict of what JSON has."""
    return Event(
        id=id,
        kind=kind,
        name=name,
        identity=Identity(session_id, anonymous_id, user_id, email, []),
        at=at,
        title=title,
        description=description,
        url=url,
        page_title=page_title,
        elements=list(elements),
        properties="" if properties is None else dumps(properties),
        extras=list(extras),
    )


def response(value: Any, status: int = 200) -> Response:
    """An answer in JSON."""
    return Response(status, [("content-type", "application/json")], dumps(value).encode())


def received(
    answer: Response,
    *,
    events: Iterable[Event] = (),
    merges: Iterable[Merge] = (),
    ignored: Iterable[Ignored] = (),
    product_id: str | None = None,
    key: str | None = None,
    keyless: bool = False,
) -> Received:
    """What a request brought. A batch without events and merges is left out, and so is what was ignored no time."""
    batch = Batch(product_id, list(events), list(merges), [])
    return Received(
        key=key,
        keyless=keyless,
        batches=[batch] if batch.events or batch.merges else [],
        ignored=[it for it in ignored if it.count > 0],
        response=answer,
        extras=[],
    )


def page(
    batches: Iterable[Batch] = (),
    *,
    cursor: str | None = None,
    more: bool = False,
    ignored: Iterable[Ignored] = (),
) -> Page:
    """What was found; nothing, and no more, where nothing is said."""
    return Page(batches=list(batches), cursor=cursor, more=more, ignored=list(ignored), extras=[])
