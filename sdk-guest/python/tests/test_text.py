import unittest

from sidenote_plugin.text import clean, cut, escape_html, split


class Texts(unittest.TestCase):
    def test_a_cut_text_has_at_most_so_many_characters_and_shows_the_cut(self):
        cases = [
            ("short", 5, "short"),
            ("", 0, ""),
            ("longer than that", 12, "longe… [cut]"),
            ("blank  before the cut", 14, "blank… [cut]"),
            ("💳" * 12, 10, "💳💳💳… [cut]"),
            ("no space", 6, "no spa"),
            ("no space here", 7, "no spac"),
            ("nothing", 0, ""),
        ]
        for text, most, wanted in cases:
            self.assertEqual(cut(text, most), wanted)

    def test_pieces_end_at_lines_then_at_blanks_then_anywhere(self):
        cases = [
            ("", 5, [""]),
            ("fits", 4, ["fits"]),
            ("one\ntwo", 3, ["one", "two"]),
            ("one two three", 8, ["one two", "three"]),
            ("a b\nlonger line", 6, ["a b", "longer", "line"]),
            ("unbroken", 3, ["unb", "rok", "en"]),
            ("äöü💳\nß", 4, ["äöü💳", "ß"]),
            ("ends\n", 4, ["ends"]),
            ("ab", 0, ["a", "b"]),
        ]
        for text, most, wanted in cases:
            self.assertEqual(split(text, most), wanted, text)

    def test_splitting_loses_nothing_but_the_blanks_between(self):
        text = "\n\nOpened /cart\n   clicked  “Pay” 💳💳💳\n\nveryveryveryverylongword x " * 7
        for most in range(1, 80):
            pieces = split(text, most)
            self.assertTrue(all(1 <= len(piece) <= most for piece in pieces), most)
            self.assertEqual("".join("".join(pieces).split()), "".join(text.split()), most)

    def test_no_control_character_passes_and_markup_is_shown_and_not_followed(self):
        odd = "typed \0 \x1b[31m \x7f \x9f\tend\r\n\ud83d"
        for text in [clean(odd), cut(odd, 16), escape_html(odd), "".join(split(odd, 100))]:
            self.assertTrue(text.startswith("typed \ufffd \ufffd"), text)
            text.encode()
        self.assertEqual(clean("a\tb\r\nc"), "a\tb\r\nc")
        shown = "a&lt;&#39;b&#39;&gt;\n&amp;amp; &quot;c&quot;"
        self.assertEqual(escape_html("a<'b'>\n&amp; \"c\""), shown)


if __name__ == "__main__":
    unittest.main()
