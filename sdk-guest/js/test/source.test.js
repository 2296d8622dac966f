import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as source from '../src/source.js';

test('an event is whole, whatever is said of it', () => {
  assert.deepEqual(source.event('custom', 'Paid', { id: '2', identity: { userId: 'c-7' }, properties: { amount: null } }), {
    id: '2',
    kind: 'custom',
    name: 'Paid',
    identity: { sessionId: undefined, anonymousId: undefined, userId: 'c-7', email: undefined, extras: [] },
    at: undefined,
    title: '',
    description: '',
    url: '',
    pageTitle: '',
    elements: [],
    properties: '{"amount":null}',
    extras: [],
  });
  assert.equal(source.event('page', '').properties, '');
});

test('what was received has one batch, or none where nothing happened', () => {
  const answer = source.response({ accepted: 1 });
  assert.equal(new TextDecoder().decode(answer.body), '{"accepted":1}');
  const ignored = [{ reason: 'odd', count: 2 }, { reason: 'old', count: 0 }];
  const received = source.received(answer, { events: [source.event('page', '')], ignored, productId: 'shop' });
  assert.deepEqual([received.batches.length, received.batches[0].productId], [1, 'shop']);
  assert.deepEqual([received.ignored, received.keyless, received.key], [ignored.slice(0, 1), false, undefined]);
  assert.deepEqual(source.received(answer).batches, []);
  assert.deepEqual(source.page(), { batches: [], cursor: undefined, more: false, ignored: [], extras: [] });
  assert.deepEqual(source.rejection('method', 'post it'), { kind: 'method', message: 'post it' });
});
