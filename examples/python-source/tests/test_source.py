"""`python3 build.py test`: the plugin's logic in this Python, with a host in memory."""

import json
import unittest

from sidenote_plugin.testing import HostCase
from wit_world.exports.source import EventKind, Ignored, RejectionKind, Request

from app import Source

PAID = '{"event": "Paid", "number": 2, "customer": "c-7", "at": 1700000004.5, "amount": "12.00"}'
VISITED = '{"event": "visited", "number": 1, "customer": 7, "page": "https://shop.example.com/cart"}'


class Shop(HostCase):
    def send(self, body, method="POST", path="/orders"):
        return Source().receive(Request(method, path, "", [], body.encode(), 0, []))

    def refused(self, *args, **more):
        return self.raised(self.send, *args, **more).kind

    def test_what_a_customer_did_is_told_and_what_is_nobodys_is_left_out(self):
        received = self.send(f'[{VISITED}, {PAID}, {{"event": "Paid"}}, {{"event": "Paid", "customer": " "}}, 7, null]')
        visit, paid = received.batches[0].events
        found = (visit.kind, visit.url, visit.identity.user_id)
        self.assertEqual(found, (EventKind.PAGE, "https://shop.example.com/cart", "7"))
        self.assertEqual((paid.name, paid.id, paid.at), ("Paid", "2", 1700000004.5))
        self.assertEqual(paid.properties, '{"amount": "12.00"}')
        self.assertEqual(received.ignored, [Ignored("no event of a customer", 4)])
        self.assertEqual(received.response.body, b'{"accepted": 2}')
        self.assertEqual(self.send(f"[{PAID}]").batches[0].events[0], paid, "sent again, it is the same")

    def test_text_may_hold_brackets_and_quotes_and_a_body_nests_no_deeper_than_it_may(self):
        brackets = json.dumps([{"event": '"[{\\' * 50, "customer": "c"}])
        self.assertEqual(len(self.send(brackets).batches[0].events), 1)
        nested = [f"[{PAID}, {'[' * depth}{']' * depth}]" for depth in (31, 32)]
        self.assertEqual(len(self.send(nested[0]).batches[0].events), 1)
        self.assertEqual(self.refused(nested[1]), RejectionKind.MALFORMED)

    def test_the_operator_may_leave_visits_out(self):
        self.settings["visits"] = "false"
        self.assertEqual(len(self.send(f"[{VISITED}, {PAID}]").batches[0].events), 1)

    def test_odd_values_take_nothing_with_them(self):
        odd = '[{"event": "a\\ud83d", "customer": 7, "number": 1e400, "at": 1e400, "amount": NaN}]'
        [told] = self.send(odd).batches[0].events
        self.assertEqual((told.name, told.id, told.at, told.properties), ("a\ufffd", "", None, '{"amount": null}'))

    def test_what_is_no_list_and_what_is_sent_elsewhere_is_refused(self):
        for body in ["", "{}", "[", "7", "null", "[" * 100_000]:
            self.assertEqual(self.refused(body), RejectionKind.MALFORMED, body[:9])
        self.assertEqual(self.refused("[]", path="/"), RejectionKind.NOT_FOUND)
        self.assertEqual(self.refused("", method="GET"), RejectionKind.METHOD)


if __name__ == "__main__":
    unittest.main()
