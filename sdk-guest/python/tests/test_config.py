import unittest

from sidenote_plugin.config import flag, number, required, setting
from sidenote_plugin.testing import HostCase
from wit_world.imports.types import FailureKind, Sent


class Settings(HostCase):
    def test_a_setting_is_read_as_what_it_is_or_refused_with_its_key(self):
        self.settings.update(url="u", empty="", on="true", off="false", odd="yes", many="1.5", blank=" ")
        self.assertEqual([setting("url"), setting("none"), required("url")], ["u", None, "u"])
        flags = [flag("on"), flag("off", True), flag("none"), flag("none", True)]
        self.assertEqual(flags, [True, False, False, True])
        self.assertEqual([number("many"), number("none", 4), number("none")], [1.5, 4, None])
        wrong = [(required, "empty"), (required, "none"), (flag, "odd"), (number, "odd"), (number, "blank")]
        for read, key in wrong:
            failure = self.raised(read, key)
            told = (failure.kind, failure.code, failure.sent)
            self.assertEqual(told, (FailureKind.INVALID, "config", Sent.NOT_SENT))
            self.assertIn(f"`{key}`", failure.message)


if __name__ == "__main__":
    unittest.main()
