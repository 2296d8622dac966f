import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Unreadable, id, list, number, object, parse, text } from '../src/values.js';

test('bytes and texts are read, broken ones too', () => {
  assert.deepEqual(parse(new TextEncoder().encode('\ufeff{"a":"ü"}')), { a: 'ü' });
  assert.equal(parse(Uint8Array.of(0x22, 0xff, 0x22)), '\ufffd');
  for (const none of ['', '{', 'NaN', '{"a":1,}']) {
    assert.throws(() => parse(none), (error) => error instanceof Unreadable && error.message === "isn't JSON");
  }
});

test('text may hold brackets, and a body nests no deeper than it may', () => {
  assert.equal(parse(JSON.stringify(['"[{\\'.repeat(500)])).length, 1);
  assert.equal(parse(JSON.stringify(Array(500).fill([[], {}]))).length, 500);
  const nested = (depth) => '['.repeat(depth) + ']'.repeat(depth);
  parse(nested(64));
  parse(nested(3), { deepest: 3 });
  for (const [body, limits] of [[nested(65)], [nested(4), { deepest: 3 }], ['[{"a":'.repeat(50_000)]]) {
    assert.throws(() => parse(body, limits), /nests deeper than/);
  }
});

test('an id is a text or a whole number, and anything else names nobody', () => {
  assert.deepEqual([id('u-1'), id(4711), id(-1), id('half \ud83d')], ['u-1', '4711', '-1', 'half \ufffd']);
  for (const nobody of [null, undefined, '', ' ', 1.5, 2 ** 53, NaN, true, [1], {}]) assert.equal(id(nobody), undefined);
});

test('a value of another type is none', () => {
  assert.deepEqual([text(' a\ud83d'), text(7), text(null)], [' a\ufffd', undefined, undefined]);
  assert.deepEqual([number(1.5), number(Infinity), number('1'), number(null)], [1.5, undefined, undefined, undefined]);
  assert.deepEqual([object({}), object([]), object(null), object('')], [{}, undefined, undefined, undefined]);
  assert.deepEqual([list([1]), list({ 0: 1 }), list('ab'), list(undefined)], [[1], [], [], []]);
});
