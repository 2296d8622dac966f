import json
import unittest

from sidenote_plugin import source
from wit_world.exports.source import EventKind, Identity, Ignored, Page, RejectionKind


class Sources(unittest.TestCase):
    def test_an_event_is_whole_whatever_is_said_of_it(self):
        paid = source.event(EventKind.CUSTOM, "Paid", id="2", user_id="c-7", properties={"amount": None})
        self.assertEqual((paid.id, paid.name, paid.at, paid.elements), ("2", "Paid", None, []))
        self.assertEqual(paid.identity, Identity(None, None, "c-7", None, []))
        self.assertEqual(json.loads(paid.properties), {"amount": None})
        self.assertEqual(source.event(EventKind.PAGE, "").properties, "")

    def test_what_was_received_has_one_batch_or_none_where_nothing_happened(self):
        answer = source.response({"accepted": 1})
        self.assertEqual((answer.status, json.loads(answer.body)), (200, {"accepted": 1}))
        events = (source.event(EventKind.PAGE, "") for _ in range(2))
        ignored = [Ignored("odd", 2), Ignored("old", 0)]
        received = source.received(answer, events=events, ignored=ignored, product_id="shop")
        [batch] = received.batches
        self.assertEqual((len(batch.events), batch.product_id), (2, "shop"))
        self.assertEqual((received.ignored, received.keyless, received.key), (ignored[:1], False, None))
        self.assertEqual(source.received(answer).batches, [])
        self.assertEqual(source.page(), Page([], None, False, [], []))
        refused = source.rejection(RejectionKind.METHOD, "post it").value
        self.assertEqual((refused.kind, refused.message), (RejectionKind.METHOD, "post it"))


if __name__ == "__main__":
    unittest.main()
