"""The example of the README does what it says."""

import json
import re
from pathlib import Path

from sidenote_plugin.testing import HostCase
from wit_world.imports.http import Response
from wit_world.imports.types import Call, Note, NoteKind

README = Path(__file__).parent.parent / "README.md"


class Readme(HostCase):
    def test_the_example_posts_a_note(self):
        [code] = re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.DOTALL)
        example = {}
        exec(code, example)
        self.settings["url"] = "https://bot.example/notes"
        self.answers = [Response(200, [], b""), Response(429, [("retry-after", "7")], b"")]
        call = Call("k1", 1, 0, "", [])
        note = Note("p", "s", "c1", None, None, NoteKind.ACTIONS, 1, "hello", [], [])
        self.assertIsNone(example["Writer"]().post_note(call, note).note_id)
        self.assertEqual(json.loads(self.requests[0].body), {"conversation": "c1", "text": "hello", "key": "k1"})
        refused = self.raised(example["Writer"]().post_note, call, note)
        self.assertEqual(refused.retry_after_ms, 7000)


if __name__ == "__main__":
    import unittest

    unittest.main()
