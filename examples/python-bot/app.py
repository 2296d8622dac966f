"""Notes as JSON posts to a bot of yours, and the bot's signed webhook.

The classes here are what the plugin can do: `Writer` posts notes, `Webhook` reads what comes in. The module
`wit_world` is made of the interface in `wit/` by the build. A failure or rejection is raised as `Err`; any
other exception stops the plugin's instance, and the outcome of the call is unknown then.
"""

import json

from componentize_py_types import Err
from wit_world.exports.webhook import Event_Ignored, Event_Opened, Event_Replied, Rejection, Turn
from wit_world.imports import config, crypto, http, log
from wit_world.imports.types import FailureKind, Posted, Sent

from failure import failure, from_error, from_status

# The header of the webhook's signature: `sha256=` and the hex HMAC of the raw body.
SIGNATURE = "x-bot-signature"
# The secret that the bot signs with.
SECRET = "incoming"
# The fields that tell whose a conversation is, and what the host calls them.
FIELDS = {"session": "session-id", "user": "external-user-id", "email": "email"}


class Writer:
    def post_note(self, call, note):
        url = config.get("url")
        if not url:
            raise failure(FailureKind.INVALID, "config", "`url` is missing in the configuration", Sent.NOT_SENT)
        body = {"conversation": note.conversation_id, "text": note.body, "key": call.idempotency_key}
        response = exchange(
            http.Request(
                method="POST",
                url=url,
                headers=[
                    ("content-type", "application/json"),
                    # The host puts the secret in its place, for hosts that it is granted to.
                    ("authorization", "Bearer {{secret:token}}"),
                ],
                body=json.dumps(body).encode(),
                # The text holds what people typed: a placeholder in it stays text.
                secrets_in_body=False,
                timeout_ms=None,
            )
        )
        if not 200 <= response.status <= 299:
            raise from_status(response.status, response.headers)
        log.write(log.Level.DEBUG, "posted", [("status", str(response.status))])
        return Posted(note_id=id_in(response.body), extras=[])


class Webhook:
    def receive(self, request):
        if request.method != "POST":
            raise rejection(405, "method", "only POST is accepted")
        verify(request)
        body = parsed(request.body)
        match text(body, "event"):
            case "opened":
                return [Event_Opened(turn(body))]
            case "replied":
                return [Event_Replied(turn(body))]
            case _:
                return [Event_Ignored()]


def exchange(request):
    """One request, one response. The host decides about trying again."""
    try:
        return http.send(request)
    except Err as error:
        raise from_error(error.value) from None


def id_in(body):
    """What the bot calls the note. It has the note also where it doesn't say, so nothing here fails."""
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    name = answer.get("id") if isinstance(answer, dict) else None
    if isinstance(name, bool) or not isinstance(name, (str, int, float)):
        return None
    return str(name) or None


def verify(request):
    """Refuses a request that the bot didn't sign. Nothing of it means anything before."""
    values = [value for name, value in request.headers if name.lower() == SIGNATURE]
    if len(values) != 1:
        raise rejection(401, "signature", f"the header {SIGNATURE} is missing, or there twice")
    scheme, _, digits = values[0].partition("=")
    try:
        genuine = scheme == "sha256" and crypto.hmac_verify(
            SECRET, crypto.Hash.SHA256, crypto.Encoding.HEX, request.body, digits
        )
    except Err as error:
        # The operator gave no such secret: nothing can be verified.
        raise rejection(503, "secret", error.value) from None
    if not genuine:
        raise rejection(401, "signature", f"the signature doesn't fit the body and the secret `{SECRET}`")


def parsed(raw):
    try:
        body = json.loads(raw.decode("utf-8", "replace").removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        raise rejection(400, "body", "the body isn't JSON") from None
    if not isinstance(body, dict):
        raise rejection(400, "body", "the body isn't a JSON object")
    return body


def turn(body):
    conversation = text(body, "conversation")
    if conversation is None:
        raise rejection(400, "body", "`conversation` is missing")
    return Turn(
        conversation_id=conversation,
        session_id=text(body, "session"),
        external_user_id=text(body, "user"),
        email=text(body, "email"),
        product_id=text(body, "product"),
        text=text(body, "text"),
        extras=vouched(body),
    )


def text(body, name):
    """A text of the body, or a whole number as text. A blank one, or anything else, says as little as none."""
    value = body.get(name)
    if isinstance(value, int) and not isinstance(value, bool):
        # Larger ones are floats to other readers of the same JSON.
        return str(value) if -(2**63) <= value < 2**64 else None
    if not isinstance(value, str) or not value.strip():
        return None
    # Half of a surrogate pair, which JSON can say and UTF-8 can't, becomes U+FFFD.
    return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def vouched(body):
    """Which of what it says of the person the bot vouches for. It is yours and signs, so all of it, unless the body
    says `"verified": false`, or lists the fields. What isn't vouched for links nothing by itself."""
    verified = body.get("verified")
    names = [
        name
        for field, name in FIELDS.items()
        if text(body, field) is not None
        and (verified is None or verified is True or isinstance(verified, list) and field in verified)
    ]
    return [("verified", " ".join(names))] if names else []


def rejection(status, code, message):
    return Err(Rejection(status, code, message))
