import assert from 'node:assert/strict';
import { test } from 'node:test';

import { reset } from '@sidenote/plugin/testing';

import { trigger } from '#trigger';

function context(actions) {
  const action = ([description, startedAt], index) => ({
    index: BigInt(index),
    kind: 'click',
    title: '',
    description,
    canonicalUrl: 'https://shop.example/pay',
    rawUrl: '',
    startedAt,
    endedAt: undefined,
  });
  return { productId: 'shop', sessionId: 's-1', actions: actions.map(action), nowMs: 0n, extras: [] };
}

const pay = (times) => context(times.map((at) => ['clicked Pay', at]));

test('the same click again and again is offered help', () => {
  reset({});
  const offer = trigger.evaluate(pay([0, 1, 2, 3]));
  assert.equal(offer.text, 'Is something not working? We can help.');
  assert.deepEqual(offer.quickReplies.map((reply) => reply.id), ['yes', 'no']);
});

test('clicks that are few, slow, different or without times are not', () => {
  reset({});
  const mixed = context([['clicked Pay', 0], ['clicked Help', 1], ['clicked Pay', 2], ['clicked Pay', 3], ['clicked Pay', 4]]);
  const timeless = pay([undefined, undefined, undefined, undefined]);
  for (const odd of [pay([]), pay([0, 1, 2]), pay([0, 9, 18, 27]), mixed, timeless]) {
    assert.equal(trigger.evaluate(odd), undefined);
  }
});

test('the operator says how often, how fast and what', () => {
  reset({ config: { clicks: '2', seconds: '1', text: 'Stuck?' } });
  assert.equal(trigger.evaluate(pay([0, 1])).text, 'Stuck?');
  assert.equal(trigger.evaluate(pay([0, 1.5])), undefined);
});
