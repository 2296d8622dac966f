import assert from 'node:assert/strict';
import { test } from 'node:test';

import { clean, cut, escapeHtml, split } from '../src/text.js';

test('a cut text has at most so many characters and shows the cut', () => {
  const cases = [
    ['short', 5, 'short'],
    ['', 0, ''],
    ['longer than that', 12, 'longe… [cut]'],
    ['blank  before the cut', 14, 'blank… [cut]'],
    ['💳💳💳💳💳💳💳💳💳💳💳💳', 10, '💳💳💳… [cut]'],
    ['no space', 6, 'no spa'],
    ['no space here', 7, 'no spac'],
    ['nothing', 0, ''],
  ];
  for (const [text, most, wanted] of cases) assert.equal(cut(text, most), wanted);
});

test('pieces end at lines, then at blanks, then anywhere', () => {
  const cases = [
    ['', 5, ['']],
    ['fits', 4, ['fits']],
    ['one\ntwo', 3, ['one', 'two']],
    ['one two three', 8, ['one two', 'three']],
    ['a b\nlonger line', 6, ['a b', 'longer', 'line']],
    ['unbroken', 3, ['unb', 'rok', 'en']],
    ['äöü💳\nß', 4, ['äöü💳', 'ß']],
    ['ends\n', 4, ['ends']],
    ['ab', 0, ['a', 'b']],
  ];
  for (const [text, most, wanted] of cases) assert.deepEqual(split(text, most), wanted, text);
});

test('splitting loses nothing but the blanks between', () => {
  const text = '\n\nOpened /cart\n   clicked  “Pay” 💳💳💳\n\nveryveryveryverylongword x '.repeat(7);
  const bare = (it) => it.replace(/\s/g, '');
  for (let most = 1; most < 80; most += 1) {
    const pieces = split(text, most);
    assert.ok(pieces.every((piece) => piece !== '' && Array.from(piece).length <= most), String(most));
    assert.equal(bare(pieces.join('')), bare(text));
  }
});

test('no control character passes, and markup is shown and not followed', () => {
  const odd = 'typed \0 \u001b[31m \u007f \u009f\tend\r\n\ud83d';
  for (const text of [clean(odd), cut(odd, 16), escapeHtml(odd), split(odd, 100).join('')]) {
    assert.ok(text.startsWith('typed \ufffd \ufffd'), text);
    assert.ok(text.isWellFormed());
  }
  assert.equal(clean('a\tb\r\nc'), 'a\tb\r\nc');
  assert.equal(escapeHtml('a<\'b\'>\n&amp; "c"'), 'a&lt;&#39;b&#39;&gt;\n&amp;amp; &quot;c&quot;');
});
