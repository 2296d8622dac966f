import unittest

from sidenote_plugin import failure
from wit_world.imports.http import Error, ErrorKind, Response
from wit_world.imports.types import FailureKind, Sent


class Failures(unittest.TestCase):
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
            (504, FailureKind.TRANSIENT, Sent.UNKNOWN),
            (301, FailureKind.INVALID, Sent.SENT),
            (422, FailureKind.INVALID, Sent.SENT),
        ]
        for status, kind, sent in cases:
            known = failure.from_status(Response(status, [], b"")).value
            self.assertEqual((known.kind, known.code, known.sent), (kind, str(status), sent))
            passing = kind in (FailureKind.TRANSIENT, FailureKind.RATE_LIMITED)
            self.assertEqual(failure.is_passing(known), passing, status)

    def test_retry_after_is_read_as_seconds_or_a_date(self):
        now = 784111777  # Sun, 06 Nov 1994 08:49:37 GMT
        cases = [
            ("7", 7000),
            ("0.5", 1000),
            ("7.0", 7000),
            (" 30 ", 30_000),
            ("Sun, 06 Nov 1994 08:49:40 GMT", 3000),
            ("Sun, 06 Nov 1994 08:00:00 GMT", 0),
            ("-1", None),
            (".5", None),
            ("99999999999999999999", None),
            ("soon", None),
            ("no date GMT", None),
        ]
        for value, wait in cases:
            self.assertEqual(failure.retry_after_ms([("Retry-After", value)], now), wait, value)
        self.assertIsNone(failure.retry_after_ms([], now))
        known = failure.from_status(Response(429, [("retry-after", "7")], b"")).value
        self.assertEqual(known.retry_after_ms, 7000)

    def test_no_response_is_a_failure_that_says_whether_the_request_may_have_arrived(self):
        cases = {
            "denied": FailureKind.AUTH,
            "secret": FailureKind.AUTH,
            "invalid": FailureKind.INVALID,
            "too-large": FailureKind.PERMANENT,
            "connect": FailureKind.TRANSIENT,
            "timeout": FailureKind.TRANSIENT,
            "io": FailureKind.TRANSIENT,
        }
        self.assertEqual(len(cases), len(ErrorKind))
        for name, kind in cases.items():
            error = Error(ErrorKind[name.upper().replace("-", "_")], "why", Sent.UNKNOWN)
            known = failure.from_error(error).value
            self.assertEqual((known.kind, known.code, known.sent), (kind, f"http-{name}", Sent.UNKNOWN))

    def test_a_failure_says_what_its_name_says_and_what_else_is_known(self):
        makers = ["transient", "rate_limited", "auth", "not_found", "invalid", "permanent"]
        for name in makers:
            known = getattr(failure, name)("c", "m").value
            self.assertEqual((known.kind, known.sent), (FailureKind[name.upper()], Sent.UNKNOWN))
        limited = failure.rate_limited("slow", "why", retry_after_ms=1500.2, limit_scope="conversation").value
        self.assertEqual((limited.retry_after_ms, limited.extras), (1501, [("limit-scope", "conversation")]))
        self.assertEqual(failure.misconfigured("m").value.sent, Sent.NOT_SENT)

    def test_a_note_that_was_posted_has_its_id_and_a_pause_where_the_platform_tells_of_one(self):
        posted = failure.posted("n1", pause_ms=1500, limit_scope="conversation")
        self.assertEqual(posted.extras, [("pause-ms", "1500"), ("limit-scope", "conversation")])
        self.assertEqual((failure.posted().note_id, failure.posted("n1").extras), (None, []))


if __name__ == "__main__":
    unittest.main()
