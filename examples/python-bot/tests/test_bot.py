"""`python3 build.py test`: the plugin's logic in this Python, with a host in memory."""

import json
import unittest

from sidenote_plugin.testing import HostCase, signature
from wit_world.exports.webhook import Event_Ignored, Event_Opened, Event_Replied, Request
from wit_world.imports.http import Error, ErrorKind, Response
from wit_world.imports.types import Call, FailureKind, Note, NoteKind, Sent

from app import Webhook, Writer

TEXT = "he typed {{secret:token}} ✓"
CALL = Call("k1", 1, 0, "", [])
NOTE = Note("p", "s", "c1", None, None, NoteKind.ACTIONS, 1, TEXT, [], [])


class Notes(HostCase):
    def post(self, answer):
        self.settings = {"url": "https://bot.example/notes"}
        self.answers = [answer]
        return Writer().post_note(CALL, NOTE)

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

    def test_a_refusal_is_a_failure_with_the_pause_that_the_bot_asks_for(self):
        limited = self.raised(self.post, Response(429, [("retry-after", "7")], b""))
        told = (limited.kind, limited.sent, limited.retry_after_ms)
        self.assertEqual(told, (FailureKind.RATE_LIMITED, Sent.SENT, 7000))
        self.assertEqual(self.raised(self.post, Response(500, [], b"")).sent, Sent.UNKNOWN)

    def test_no_response_is_a_failure_that_says_whether_the_request_may_have_arrived(self):
        lost = self.raised(self.post, Error(ErrorKind.IO, "why", Sent.UNKNOWN))
        self.assertEqual((lost.kind, lost.code, lost.sent), (FailureKind.TRANSIENT, "http-io", Sent.UNKNOWN))

    def test_without_its_address_nothing_is_sent(self):
        missing = self.raised(Writer().post_note, CALL, NOTE)
        self.assertEqual((missing.code, missing.sent, self.requests), ("config", Sent.NOT_SENT, []))


class Webhooks(HostCase):
    def setUp(self):
        super().setUp()
        self.secrets = {"incoming": "s"}

    def receive(self, body, secret="s", method="POST", times=1):
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
            (body, {"secret": "other"}, 401, "signature"),
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
            rejection = self.raised(self.receive, raw, **how)
            self.assertEqual((rejection.status, rejection.code), (status, code), raw)

    def test_without_its_secret_every_webhook_is_refused(self):
        self.secrets.clear()
        rejection = self.raised(self.receive, b"{}")
        self.assertEqual((rejection.status, rejection.code), (503, "secret"))


if __name__ == "__main__":
    unittest.main()
