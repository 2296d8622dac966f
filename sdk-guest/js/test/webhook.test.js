import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import * as webhook from '../src/webhook.js';
import { reset, signature } from '../testing/index.js';

const SCHEME = { header: 'x-signature', secret: 'incoming', prefix: 'sha256=' };

function request(body, ...headers) {
  return { method: 'POST', url: 'https://host.example/webhooks/bot', headers, body: webhook.bytes(body) };
}

const signed = (body, secret = 's') => request(body, ['X-Signature', `sha256=${signature(secret, body)}`]);

beforeEach(() => reset({ secrets: { incoming: 's' } }));

test('a signature fits, is refused, or has no secret to fit', () => {
  webhook.verify(signed('{}'), SCHEME);
  const forged = { ...signed('{}'), body: webhook.bytes('{} ') };
  const twice = signed('{}');
  twice.headers.push(twice.headers[0]);
  const bare = request('{}', ['x-signature', signature('s', '{}')]);
  for (const odd of [forged, twice, bare, signed('{}', 'other'), request('{}'), request('{}', ['x-signature', ''])]) {
    assert.throws(() => webhook.verify(odd, SCHEME), { status: 401, code: 'signature' });
  }
  reset();
  assert.throws(() => webhook.verify(signed('{}'), SCHEME), { status: 503, code: 'secret' });
});

test('what is signed may be more than the body, in another writing', () => {
  const data = webhook.bytes('17', '.', Uint8Array.of(0xff, 0));
  assert.deepEqual([...data], [49, 55, 46, 255, 0]);
  const how = { hash: 'sha1', encoding: 'base64' };
  const one = request('', ['x-signature', signature('s', data, how)]);
  const scheme = { header: 'x-signature', secret: 'incoming', data, ...how };
  webhook.verify(one, scheme);
  assert.throws(() => webhook.verify(one, { ...scheme, data: undefined }), { code: 'signature' });
});

test('a header that is missing or twice is refused', () => {
  const one = request('', ['x-one', '1'], ['X-Two', 'a'], ['x-two', 'a']);
  assert.equal(webhook.singleHeader(one, 'X-ONE'), '1');
  assert.equal(webhook.singleHeader(one, 'x-none'), undefined);
  assert.equal(webhook.requiredHeader(one, 'x-one'), '1');
  for (const name of ['x-two', 'x-none']) {
    assert.throws(() => webhook.requiredHeader(one, name), { status: 401, code: 'signature' });
  }
  assert.throws(() => webhook.singleHeader(one, 'x-two'), { status: 401 });
});

test('a time is accepted within its window either way', () => {
  const now = 1_000_999;
  for (const near of [700, 1000, '1300']) webhook.checkAge(near, { now });
  for (const far of [0, 699, '1301', '', 'soon', NaN, '1e3']) {
    assert.throws(() => webhook.checkAge(far, { now }), { status: 401, code: 'timestamp' }, String(far));
  }
  webhook.checkAge(Date.now() / 1000);
});

test('a body is read whatever else is in it, and no object is none', () => {
  assert.equal(webhook.readJson(request('{"id":7,"odd":{"id":["\\ud83d"]}}')).id, 7);
  for (const none of ['', '{', '[]', 'null', '7', '[{'.repeat(50_000)]) {
    assert.throws(() => webhook.readJson(request(none)), { status: 400, code: 'body' }, none.slice(0, 9));
  }
});

test('a turn names what is vouched for of what it has', () => {
  const about = { sessionId: 's1', email: 'ann@example.com' };
  const cases = [
    [[], undefined],
    [['external-user-id'], undefined],
    [['email', 'external-user-id', 'email'], 'email'],
    [['session-id', 'external-user-id', 'email'], 'session-id email'],
  ];
  for (const [verified, names] of cases) {
    const turn = webhook.turn('c1', { ...about, verified });
    assert.deepEqual(turn.extras, names ? [['verified', names]] : []);
    assert.deepEqual([turn.conversationId, turn.sessionId, turn.text], ['c1', 's1', undefined]);
  }
  const closed = webhook.turn('c1', { author: 'agent', happened: 'closed', optionId: '', messageId: 'm7' });
  assert.deepEqual(closed.extras, [['author', 'agent'], ['happened', 'closed'], ['message-id', 'm7']]);
  assert.throws(() => webhook.turn(undefined), { status: 400, code: 'body' });
});

test('events have the tags of the interface', () => {
  const turn = webhook.turn('c1');
  assert.deepEqual(webhook.opened(turn), { tag: 'opened', val: turn });
  assert.deepEqual(webhook.replied(turn), { tag: 'replied', val: turn });
  assert.deepEqual(webhook.ignored(), { tag: 'ignored' });
  const { val } = webhook.challenge('abc');
  assert.deepEqual([val.status, val.contentType, [...val.body]], [200, 'text/plain', [97, 98, 99]]);
});
