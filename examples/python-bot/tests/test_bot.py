"""`python3 build.py test`: the plugin's logic in this Python, with a host in memory."""

import hashlib
import hmac
import json
import unittest
from unittest.mock import patch

from componentize_py_types import Err
from wit_world.exports.webhook import Event_Ignored, Event_Opened, Event_Replied, Request
from wit_world.imports import http
from wit_world.imports.http import Error, ErrorKind, Response
from wit_world.imports.types import Call, FailureKind, Note, NoteKind, Sent

from app import Webhook, Writer

TEXT = "he typed {{secret:token}} ✓"


def signature(secret, body):
    return hmac.new(secret, body, hashlib.sha256).hexdigest()


class Host(unittest.TestCase):
    """What the plugin imports, and what a test sets and sees of it."""

    def setUp(self):
        self.settings = {"url": "https://bot.example/notes"}
        self.secrets = {"incoming": b"s"}
        self.requests = []
        for name, stand_in in [
            ("config.get", self.settings.get),
            ("crypto.hmac_verify", self.hmac_verify),
            ("log.write", lambda *_: None),
        ]:
            patcher = patch(f"wit_world.imports.{name}", stand_in)
            patcher.start()
            self.addCleanup(patcher.stop)

    def hmac_verify(self, secret, _hash, _encoding, data, given):
        if secret not in self.secrets:
            raise Err(f"no secret `{secret}`")
        return signature(self.secrets[secret], data) == given.lower()

    def post(self, answer):
        def send(request):
            self.requests.append(request)
            if isinstance(answer, Error):
                raise Err(answer)
            return answer

        call = Call("k1", 1, 0, "", [])
        note = Note("p", "s", "c1", None, None, NoteKind.ACTIONS, 1, TEXT, [], [])
        with patch.object(http, "send", send):
            return Writer().post_note(call, note)

    def failure(self, answer):
        with self.assertRaises(Err) as raised:
            self.post(answer)
        return raised.exception.value


class Notes(Host):
    def test_a_note_is_posted_with_its_key_and_the_id_of_the_answer_is_its_id(self):
        posted = self.post(Response(201, [], b'{"id":"n1"}'))
        self.assertEqual(posted.note_id, "n1")
        [request] = self.requests
        self.assertFalse(request.secrets_in_body)
        self.assertIn(("authorization", "Bearer {{secret:token}}"), request.headers)
        self.assertEqual(json.loads(request.body), {"conversation": "c1", "text": TEXT, "key": "k1"})

    def test_an_answer_without_an_id_is_no_failure(self):
        cases = [(b'{"id":17}', "17"), (b'{"id":""}', None), (b'{"ok":true}', None), (b"null", None), (b"", None)]
        for body, wanted in cases:
            self.assertEqual(self.post(Response(200, [], body)).note_id, wanted, body)

    def test_statuses_become_failures(self):
        cases = [
            (429, FailureKind.RATE_LIMITED, Sent.SENT),
            (401, FailureKind.AUTH, Sent.SENT),
            (403, FailureKind.AUTH, Sent.SENT),
            (404, FailureKind.NOT_FOUND, Sent.SENT),
            (410, FailureKind.NOT_FOUND, Sent.SENT),
            (408, FailureKind.TRANSIENT, Sent.UNKNOWN),
            (500, FailureKind.TRANSIENT, Sent.UNKNOWN),
            (503, FailureKind.TRANSIENT, Sent.SENT),
            (301, FailureKind.INVALID, Sent.SENT),
            (422, FailureKind.INVALID, Sent.SENT),
        ]
        for status, kind, sent in cases:
            failure = self.failure(Response(status, [], b""))
            self.assertEqual((failure.kind, failure.code, failure.sent), (kind, str(status), sent))

    def test_retry_after_is_read_as_seconds_or_a_date(self):
        date = "Sun, 06 Nov 1994 08:49:37 GMT"
        cases = [("7", 7000), ("0.5", 1000), (" 30 ", 30_000), ("-1", None), ("soon", None), (date, 0)]
        for value, wait in cases:
            failure = self.failure(Response(429, [("retry-after", value)], b""))
            self.assertEqual(failure.retry_after_ms, wait, value)

    def test_no_response_is_a_failure_that_says_whether_the_request_may_have_arrived(self):
        denied = self.failure(Error(ErrorKind.DENIED, "why", Sent.NOT_SENT))
        self.assertEqual((denied.kind, denied.code, denied.sent), (FailureKind.AUTH, "http-denied", Sent.NOT_SENT))
        large = self.failure(Error(ErrorKind.TOO_LARGE, "why", Sent.NOT_SENT))
        self.assertEqual((large.kind, large.code), (FailureKind.PERMANENT, "http-too-large"))


class Webhooks(Host):
    def receive(self, body, secret=b"s", method="POST", times=1):
        header = ("x-bot-signature", f"sha256={signature(secret, body)}")
        return Webhook().receive(Request(method, "https://host.example/webhooks/bot", [header] * times, body))

    def test_a_signed_webhook_becomes_an_event(self):
        body = b'{"event":"opened","conversation":"c1","session":"s1","email":"","text":"hi"}'
        [event] = self.receive(body)
        self.assertIsInstance(event, Event_Opened)
        turn = event.value
        self.assertEqual((turn.conversation_id, turn.session_id, turn.email, turn.text), ("c1", "s1", None, "hi"))
        [event] = self.receive(b'{"event":"replied","conversation":"c1"}')
        self.assertIsInstance(event, Event_Replied)
        self.assertEqual(self.receive(b'{"event":"closed"}'), [Event_Ignored()])

    def test_numbers_are_ids_too_and_half_of_a_surrogate_pair_takes_nothing_with_it(self):
        [event] = self.receive(b'{"event":"opened","conversation":7,"user":4711,"session":1.5,"text":"hm \\ud83d"}')
        turn = event.value
        found = (turn.conversation_id, turn.external_user_id, turn.session_id, turn.text)
        self.assertEqual(found, ("7", "4711", None, "hm \ufffd"))

    def test_the_bot_vouches_for_what_it_says_unless_it_says_otherwise(self):
        cases = [
            ("", "session-id email"),
            (',"verified":true', "session-id email"),
            (',"verified":null', "session-id email"),
            (',"verified":["email","user"]', "email"),
            (',"verified":false', None),
            (',"verified":"email"', None),
            (',"verified":[]', None),
        ]
        for more, names in cases:
            body = f'{{"event":"opened","conversation":"c1","session":"s1","email":"a@b.example"{more}}}'
            [event] = self.receive(body.encode())
            self.assertEqual(event.value.extras, [("verified", names)] if names else [], more)

    def test_what_cannot_be_verified_or_read_is_rejected(self):
        body = b'{"event":"opened","conversation":"c1"}'
        cases = [
            (body, {"secret": b"other"}, 401, "signature"),
            (body, {"times": 0}, 401, "signature"),
            (body, {"times": 2}, 401, "signature"),
            (body, {"method": "GET"}, 405, "method"),
            (b"{", {}, 400, "body"),
            (b"[]", {}, 400, "body"),
            (b"\xff", {}, 400, "body"),
            (b'{"event":"opened"}', {}, 400, "body"),
            (b'{"event":"opened","conversation":[7]}', {}, 400, "body"),
            (b'{"event":"opened","conversation":" "}', {}, 400, "body"),
        ]
        for raw, how, status, code in cases:
            with self.assertRaises(Err) as raised:
                self.receive(raw, **how)
            rejection = raised.exception.value
            self.assertEqual((rejection.status, rejection.code), (status, code), raw)

    def test_without_its_secret_every_webhook_is_refused(self):
        self.secrets.clear()
        with self.assertRaises(Err) as raised:
            self.receive(b"{}")
        self.assertEqual((raised.exception.value.status, raised.exception.value.code), (503, "secret"))


if __name__ == "__main__":
    unittest.main()
