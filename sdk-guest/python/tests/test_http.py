import json
import unittest

from sidenote_plugin import http
from sidenote_plugin.testing import HostCase
from wit_world.imports.http import Error, ErrorKind, Response
from wit_world.imports.types import FailureKind, Sent

URL = "https://api.example.com/notes"


class Requests(HostCase):
    def setUp(self):
        super().setUp()
        self.answers = [Response(200, [("x-one", "1")], b"ok")]

    def test_a_request_is_filled_with_what_is_usual(self):
        headers = [("authorization", f"Bearer {http.secret('token')}")]
        response = http.exchange(URL, json={"a": "ü"}, headers=headers)
        self.assertEqual(http.header(response, "X-One"), "1")
        [sent] = self.requests
        self.assertEqual((sent.method, sent.url, json.loads(sent.body)), ("POST", URL, {"a": "ü"}))
        self.assertEqual(sent.headers, [("content-type", "application/json"), *headers])
        self.assertEqual(headers, [("authorization", "Bearer {{secret:token}}")])
        self.assertEqual((sent.secrets_in_body, sent.timeout_ms), (False, None))

    def test_without_a_body_it_is_a_get_and_what_is_said_stays(self):
        self.answers = [Response(204, [], b"") for _ in range(4)]
        http.exchange(URL)
        http.exchange(URL, method="PUT", body="ü", timeout_ms=5)
        http.exchange(URL, body=b"")
        http.exchange(URL, json=None)
        sent = [(it.method, it.body, it.timeout_ms) for it in self.requests]
        wanted = [("GET", b"", None), ("PUT", "ü".encode(), 5), ("POST", b"", None), ("POST", b"null", None)]
        self.assertEqual(sent, wanted)

    def test_no_response_a_refusal_and_a_body_without_a_form_are_failures(self):
        self.answers = [Error(ErrorKind.IO, "lost", Sent.UNKNOWN)]
        lost = self.raised(http.exchange, URL)
        self.assertEqual((lost.kind, lost.code, lost.sent), (FailureKind.TRANSIENT, "http-io", Sent.UNKNOWN))
        for odd in [{1, 2}, float("nan")]:
            failed = self.raised(http.exchange, URL, json=odd)
            self.assertEqual((failed.code, failed.sent), ("json", Sent.NOT_SENT))
        for status in [200, 204, 299]:
            self.assertEqual(http.raise_for_status(Response(status, [], b"")).status, status)
        for status in [199, 300, 404]:
            self.assertEqual(self.raised(http.raise_for_status, Response(status, [], b"")).code, str(status))

    def test_an_answer_that_was_cut_off_says_so(self):
        self.assertFalse(http.is_truncated(Response(200, [], b"")))
        self.assertTrue(http.is_truncated(Response(200, [("x-sidenote-truncated", "true")], b"")))

    def test_an_id_cannot_lead_to_another_address(self):
        cases = [
            ("c-1_x.y~z", "c-1_x.y~z"),
            ("../admin", "..%2Fadmin"),
            ("..", "%252E%252E"),
            (".", "%252E"),
            ("...", "..."),
            ("a?b#c", "a%3Fb%23c"),
            ("%2F", "%252F"),
            ("\ud83d", "%EF%BF%BD"),
            ("", ""),
        ]
        for name, wanted in cases:
            self.assertEqual(http.encode(name), wanted)


if __name__ == "__main__":
    unittest.main()
