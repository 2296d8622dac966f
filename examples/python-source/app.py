"""What people do, from a shop that posts lists of what happened to `/sources/NAME/orders`.

The class here is what the plugin can do. The module `wit_world` is made of the interface in `wit/` by the build. A rejection
is raised as `Err`; any other exception stops the plugin's instance, and the sender is told to come again.
"""

from sidenote_plugin import source, values
from sidenote_plugin.config import setting
from wit_world.exports.source import EventKind, Ignored, RejectionKind

# A body that nests deeper is refused: Python reads JSON by recursion, and the stack has an end.
DEEPEST = 32


class Source:
    def receive(self, request):
        if request.path != "/orders":
            raise source.rejection(RejectionKind.NOT_FOUND, "events go to /orders")
        if request.method != "POST":
            raise source.rejection(RejectionKind.METHOD, "post a list of events")
        entries = parsed(request.body)
        events = [event for entry in entries if (event := read(entry)) and is_told(event)]
        # What was left out is said, and the rest is accepted: a sender that is refused sends all of it again, or nothing.
        ignored = [Ignored("no event of a customer", len(entries) - len(events))]
        return source.received(source.response({"accepted": len(events)}), events=events, ignored=ignored)

    def poll(self, call, about, cursor):
        """A shop that posts isn't asked."""
        return source.page()


def parsed(body):
    try:
        entries = values.parse(body, deepest=DEEPEST)
    except values.Unreadable as error:
        raise source.rejection(RejectionKind.MALFORMED, f"the body {error}") from None
    if not isinstance(entries, list):
        raise source.rejection(RejectionKind.MALFORMED, "the body isn't a list")
    return entries


def read(value):
    """An event of the shop; None where it is none, or nobody's."""
    entry = values.mapping(value) or {}
    name, customer = values.text(entry.get("event")), values.id(entry.get("customer"))
    if not name or not customer:
        return None
    is_visit = name == "visited"
    amount = entry.get("amount")
    return source.event(
        EventKind.PAGE if is_visit else EventKind.CUSTOM,
        "" if is_visit else name,
        # The shop numbers its events: one that is sent again counts once.
        id=values.id(entry.get("number")) or "",
        user_id=customer,
        at=values.number(entry.get("at")),
        url=values.text(entry.get("page")) or "",
        properties={"amount": values.text(amount) or values.number(amount)},
    )


def is_told(event):
    """Whether the operator wants it told."""
    return event.kind != EventKind.PAGE or setting("visits") != "false"
