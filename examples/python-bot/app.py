"""Notes as JSON posts to a bot of yours, and the bot's signed webhook.

The classes here are what the plugin can do: `Writer` posts notes, `Webhook` reads what comes in. The module
`wit_world` is made of the interface in `wit/` by the build. A failure or rejection is raised as `Err`; any
other exception stops the plugin's instance, and the outcome of the call is unknown then.
"""

from sidenote_plugin import values, webhook
from sidenote_plugin.config import required
from sidenote_plugin.failure import posted
from sidenote_plugin.http import exchange, raise_for_status, secret
from wit_world.imports import log

# How the bot signs: the hex HMAC of the raw body, under the secret `incoming`.
SIGNATURE = {"header": "x-bot-signature", "prefix": "sha256=", "secret": "incoming"}
# The fields that tell whose a conversation is, and what the host calls them.
FIELDS = {"session": "session-id", "user": "external-user-id", "email": "email"}


class Writer:
    def post_note(self, call, note):
        response = exchange(
            required("url"),
            # The host puts the secret in its place, for hosts that it is granted to.
            headers=[("authorization", f"Bearer {secret('token')}")],
            json={"conversation": note.conversation_id, "text": note.body, "key": call.idempotency_key},
        )
        raise_for_status(response)
        log.write(log.Level.DEBUG, "posted", [("status", str(response.status))])
        return posted(id_in(response.body))


class Webhook:
    def receive(self, request):
        if request.method != "POST":
            raise webhook.rejection(405, "method", "only POST is accepted")
        # Nothing of the request means anything before.
        webhook.verify(request, **SIGNATURE)
        body = webhook.read_json(request)
        match body.get("event"):
            case "opened":
                return [webhook.opened(told(body))]
            case "replied":
                return [webhook.replied(told(body))]
            case _:
                return [webhook.ignored()]


def id_in(answer):
    """What the bot calls the note. It has the note also where it doesn't say, so nothing here fails."""
    try:
        body = values.mapping(values.parse(answer))
    except values.Unreadable:
        return None
    return values.id(body.get("id")) if body else None


def told(body):
    """A turn of what the bot tells."""
    return webhook.turn(
        values.id(body.get("conversation")),
        session_id=values.id(body.get("session")),
        external_user_id=values.id(body.get("user")),
        email=values.id(body.get("email")),
        product_id=values.id(body.get("product")),
        text=values.id(body.get("text")),
        verified=vouched(body.get("verified")),
    )


def vouched(verified):
    """Which of what it says of the person the bot vouches for. It is yours and signs, so all of it, unless the body
    says `"verified": false`, or lists the fields. What isn't vouched for links nothing by itself."""
    if verified is None or verified is True:
        return FIELDS.values()
    fields = values.elements(verified)
    return [name for field, name in FIELDS.items() if field in fields]
