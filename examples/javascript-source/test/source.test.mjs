import assert from 'node:assert/strict';
import { test } from 'node:test';

import { reset } from '@sidenote/plugin/testing';

import { source } from '#source';

function send(body, { method = 'POST', path = '/orders' } = {}) {
  const bytes = new TextEncoder().encode(body);
  return source.receive({ method, path, query: '', headers: [], body: bytes, receivedAtMs: 0n, extras: [] });
}

const PAID = '{"event": "Paid", "number": 2, "customer": "c-7", "at": 1700000004.5, "amount": "12.00"}';
const VISITED = '{"event": "visited", "number": 1, "customer": 7, "page": "https://shop.example.com/cart"}';

test("what a customer did is told and what is nobody's is left out", () => {
  reset({});
  const received = send(`[${VISITED}, ${PAID}, {"event": "Paid"}, {"event": "Paid", "customer": " "}, 7, null]`);
  const [visit, paid] = received.batches[0].events;
  assert.deepEqual([visit.kind, visit.url, visit.identity.userId], ['page', 'https://shop.example.com/cart', '7']);
  assert.deepEqual([paid.name, paid.id, paid.at], ['Paid', '2', 1700000004.5]);
  assert.equal(paid.properties, '{"amount":"12.00"}');
  assert.deepEqual(received.ignored, [{ reason: 'no event of a customer', count: 4 }]);
  assert.equal(new TextDecoder().decode(received.response.body), '{"accepted":2}');
  assert.deepEqual(send(`[${PAID}]`).batches[0].events[0], paid, 'sent again, it is the same');
});

test('text may hold brackets and quotes, and a body nests no deeper than it may', () => {
  reset({});
  const brackets = JSON.stringify([{ event: '"[{\\'.repeat(50), customer: 'c' }]);
  assert.equal(send(brackets).batches[0].events.length, 1);
  const nested = (depth) => `[${PAID}, ${'['.repeat(depth)}${']'.repeat(depth)}]`;
  assert.equal(send(nested(31)).batches[0].events.length, 1);
  assert.throws(() => send(nested(32)), { kind: 'malformed' });
});

test('the operator may leave visits out', () => {
  reset({ config: { visits: 'false' } });
  assert.equal(send(`[${VISITED}, ${PAID}]`).batches[0].events.length, 1);
});

test('broken text and rounded numbers are no ids', () => {
  reset({});
  const odd = '[{"event": "a\\ud83d", "customer": 7, "number": 9007199254740993}]';
  const [told] = send(odd).batches[0].events;
  assert.deepEqual([told.name, told.id], ['a\ufffd', '']);
});

test('what is no list and what is sent elsewhere is refused', () => {
  reset({});
  const refused = (body, to) => {
    try {
      send(body, to);
    } catch ({ kind }) {
      return kind;
    }
    return undefined;
  };
  for (const body of ['', '{}', '[', '7', 'null', '['.repeat(100_000)]) assert.equal(refused(body), 'malformed', body.slice(0, 9));
  assert.equal(refused('[]', { path: '/' }), 'not-found');
  assert.equal(refused('', { method: 'GET' }), 'method');
});
