import time
import unittest

from sidenote_plugin import webhook
from sidenote_plugin.testing import HostCase, signature
from wit_world.exports.webhook import Event_Challenge, Event_Ignored, Event_Opened, Event_Replied, Request
from wit_world.imports.crypto import Encoding, Hash

SCHEME = {"header": "x-signature", "secret": "incoming", "prefix": "sha256="}


def request(body, *headers):
    return Request("POST", "https://host.example/webhooks/bot", list(headers), body)


def signed(body, secret="s"):
    return request(body, ("X-Signature", f"sha256={signature(secret, body)}"))


class Webhooks(HostCase):
    def setUp(self):
        super().setUp()
        self.secrets = {"incoming": "s"}

    def refused(self, run, *args, **more):
        rejection = self.raised(run, *args, **more)
        return (rejection.status, rejection.code)

    def test_a_signature_fits_is_refused_or_has_no_secret_to_fit(self):
        webhook.verify(signed(b"{}"), **SCHEME)
        [header] = signed(b"{}").headers
        bare = request(b"{}", ("x-signature", signature("s", b"{}")))
        twice = request(b"{}", header, header)
        for odd in [request(b"{} ", header), twice, bare, signed(b"{}", "other"), request(b"{}")]:
            self.assertEqual(self.refused(webhook.verify, odd, **SCHEME), (401, "signature"))
        self.secrets.clear()
        self.assertEqual(self.refused(webhook.verify, signed(b"{}"), **SCHEME), (503, "secret"))

    def test_what_is_signed_may_be_more_than_the_body_in_another_writing(self):
        data, how = b"17.\xff", {"hash": Hash.SHA1, "encoding": Encoding.BASE64}
        one = request(b"\xff", ("x-signature", signature("s", data, **how)))
        webhook.verify(one, header="x-signature", secret="incoming", data=data, **how)
        refused = self.refused(webhook.verify, one, header="x-signature", secret="incoming", **how)
        self.assertEqual(refused, (401, "signature"))

    def test_a_header_that_is_missing_or_twice_is_refused(self):
        one = request(b"", ("x-one", "1"), ("X-Two", "a"), ("x-two", "a"))
        self.assertEqual(webhook.single_header(one, "X-ONE"), "1")
        self.assertIsNone(webhook.single_header(one, "x-none"))
        self.assertEqual(webhook.required_header(one, "x-one"), "1")
        for name in ["x-two", "x-none"]:
            self.assertEqual(self.refused(webhook.required_header, one, name), (401, "signature"))

    def test_a_time_is_accepted_within_its_window_either_way(self):
        for near in [700, 1000, "1300"]:
            webhook.check_age(near, now=1000.9)
        for far in [0, 699, "1301", "", "soon", "1e3", "²", float("nan")]:
            self.assertEqual(self.refused(webhook.check_age, far, now=1000.9), (401, "timestamp"), far)
        webhook.check_age(time.time())

    def test_a_body_is_read_whatever_else_is_in_it_and_no_object_is_none(self):
        self.assertEqual(webhook.read_json(request(b'{"id":7,"odd":{"id":["\\ud83d"]}}'))["id"], 7)
        for none in [b"", b"{", b"[]", b"null", b"7", b"[{" * 50_000]:
            self.assertEqual(self.refused(webhook.read_json, request(none)), (400, "body"), none[:9])

    def test_a_turn_names_what_is_vouched_for_of_what_it_has(self):
        cases = [
            ((), None),
            (["external-user-id"], None),
            (iter(["email", "external-user-id", "email"]), "email"),
            (["session-id", "external-user-id", "email"], "session-id email"),
        ]
        for verified, names in cases:
            turn = webhook.turn("c1", session_id="s1", email="ann@example.com", verified=verified)
            self.assertEqual(turn.extras, [("verified", names)] if names else [])
            self.assertEqual((turn.conversation_id, turn.session_id, turn.text), ("c1", "s1", None))
        closed = webhook.turn("c1", author="agent", happened="closed", option_id="", message_id="m7")
        self.assertEqual(closed.extras, [("author", "agent"), ("happened", "closed"), ("message-id", "m7")])
        self.assertEqual(self.refused(webhook.turn, None), (400, "body"))

    def test_events_are_those_of_the_interface(self):
        turn = webhook.turn("c1")
        self.assertEqual(webhook.opened(turn), Event_Opened(turn))
        self.assertEqual(webhook.replied(turn), Event_Replied(turn))
        self.assertEqual(webhook.ignored(), Event_Ignored())
        asked = webhook.challenge(b"abc")
        self.assertIsInstance(asked, Event_Challenge)
        self.assertEqual((asked.value.status, asked.value.content_type, asked.value.body), (200, "text/plain", b"abc"))


if __name__ == "__main__":
    unittest.main()
