import json
import math
import unittest

from sidenote_plugin import values


class Values(unittest.TestCase):
    def test_bytes_are_read_broken_ones_too(self):
        self.assertEqual(values.parse('\ufeff{"a":"ü"}'.encode()), {"a": "ü"})
        self.assertEqual(values.parse(b'"\xff"'), "\ufffd")
        for none in [b"", b"{", b'{"a":1,}', b"1" * 10_000]:
            with self.assertRaisesRegex(values.Unreadable, "isn't JSON"):
                values.parse(none)

    def test_text_may_hold_brackets_and_a_body_nests_no_deeper_than_it_may(self):
        self.assertEqual(len(values.parse(json.dumps(['"[{\\' * 500]).encode())), 1)
        self.assertEqual(len(values.parse(json.dumps([[[], {}]] * 500).encode())), 500)
        nested = lambda depth: b"[" * depth + b"]" * depth  # noqa: E731
        values.parse(nested(64))
        values.parse(nested(3), deepest=3)
        for body, limits in [(nested(65), {}), (nested(4), {"deepest": 3}), (b'[{"a":' * 50_000, {})]:
            with self.assertRaisesRegex(values.Unreadable, "nests deeper than"):
                values.parse(body, **limits)

    def test_an_id_is_a_text_or_a_whole_number_and_anything_else_names_nobody(self):
        found = [values.id(it) for it in ["u-1", 4711, -1, 2**64 - 1, "half \ud83d"]]
        self.assertEqual(found, ["u-1", "4711", "-1", str(2**64 - 1), "half \ufffd"])
        for nobody in [None, "", " ", 1.5, 2**64, math.nan, True, [1], {}]:
            self.assertIsNone(values.id(nobody), nobody)

    def test_a_value_of_another_type_is_none(self):
        self.assertEqual([values.text(it) for it in [" a\ud83d", 7, None]], [" a\ufffd", None, None])
        numbers = [values.number(it) for it in [1, 1.5, math.inf, math.nan, True, "1", 10**400, None]]
        self.assertEqual(numbers, [1.0, 1.5, None, None, None, None, None, None])
        self.assertEqual([values.mapping(it) for it in [{}, [], None, ""]], [{}, None, None, None])
        self.assertEqual([values.elements(it) for it in [[1], {0: 1}, "ab", None]], [[1], [], [], []])


if __name__ == "__main__":
    unittest.main()
