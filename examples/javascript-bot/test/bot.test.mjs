// `npm test`: the plugin's logic in Node.js, with a host in memory.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { answer, error, host, reset, signature } from '@sidenote/plugin/testing';

import { webhook, writer } from '#bot';

const bytes = (text) => new TextEncoder().encode(text);
const call = { idempotencyKey: 'k1', attempt: 1, deadlineMs: 0n, traceparent: '', extras: [] };
const note = { conversationId: 'c1', body: 'he typed {{secret:token}} ✓', actions: [], extras: [] };

function post(...answers) {
  reset({ config: { url: 'https://bot.example/notes' }, answers });
  return writer.postNote(call, note);
}

function thrown(run) {
  try {
    run();
  } catch (error) {
    return error;
  }
  assert.fail('nothing was thrown');
}

test('a note is posted with its key, and the id of the answer is its id', () => {
  assert.deepEqual(post(answer(201, '{"id":"n1"}')), { noteId: 'n1', extras: [] });
  const [request] = host.requests;
  assert.equal(request.secretsInBody, false);
  assert.deepEqual(request.headers[1], ['authorization', 'Bearer {{secret:token}}']);
  assert.deepEqual(JSON.parse(new TextDecoder().decode(request.body)), {
    conversation: 'c1',
    text: 'he typed {{secret:token}} ✓',
    key: 'k1',
  });
});

test('an answer without an id is no failure', () => {
  const cases = [['{"id":17}', '17'], ['{"id":""}'], ['{"ok":true}'], ['null'], ['taken'], ['']];
  for (const [body, id] of cases) assert.equal(post(answer(200, body)).noteId, id, body);
});

test('a refusal is a failure, with the pause that the bot asks for', () => {
  const limited = thrown(() => post(answer(429, '', [['retry-after', '7']])));
  assert.deepEqual([limited.kind, limited.sent, limited.retryAfterMs], ['rate-limited', 'sent', 7000n]);
  assert.equal(thrown(() => post(answer(500))).sent, 'unknown');
});

test('no response is a failure that says whether the request may have arrived', () => {
  const lost = thrown(() => post(error({ kind: 'io', message: 'why', sent: 'unknown' })));
  assert.deepEqual([lost.kind, lost.code, lost.sent], ['transient', 'http-io', 'unknown']);
});

test('without its address nothing is sent', () => {
  reset();
  const missing = thrown(() => writer.postNote(call, note));
  assert.deepEqual([missing.code, missing.sent, host.requests], ['config', 'not-sent', []]);
});

function receive(body, { secret = 's', method = 'POST', times = 1 } = {}) {
  reset({ secrets: { incoming: 's' } });
  const header = ['x-bot-signature', `sha256=${signature(secret, bytes(body))}`];
  const headers = Array.from({ length: times }, () => header);
  return webhook.receive({ method, url: 'https://host.example/webhooks/bot', headers, body: bytes(body) });
}

test('a signed webhook becomes an event', () => {
  const body = '{"event":"opened","conversation":"c1","session":"s1","email":"","text":"hi"}';
  const [event] = receive(body);
  assert.equal(event.tag, 'opened');
  const { conversationId, sessionId, email, text } = event.val;
  assert.deepEqual([conversationId, sessionId, email, text], ['c1', 's1', undefined, 'hi']);
  assert.equal(receive('{"event":"replied","conversation":"c1"}')[0].tag, 'replied');
  assert.deepEqual(receive('{"event":"closed"}'), [{ tag: 'ignored' }]);
});

test('numbers are ids too, and half of a surrogate pair takes nothing with it', () => {
  const [event] = receive('{"event":"opened","conversation":7,"user":4711,"session":1.5,"text":"hm \\ud83d"}');
  const { conversationId, externalUserId, sessionId, text } = event.val;
  assert.deepEqual([conversationId, externalUserId, sessionId, text], ['7', '4711', undefined, 'hm \ufffd']);
});

test('the bot vouches for what it says unless it says otherwise', () => {
  const cases = [
    ['', 'session-id email'],
    [',"verified":true', 'session-id email'],
    [',"verified":null', 'session-id email'],
    [',"verified":["email","user"]', 'email'],
    [',"verified":false', undefined],
    [',"verified":"email"', undefined],
    [',"verified":[]', undefined],
  ];
  for (const [more, names] of cases) {
    const [event] = receive(`{"event":"opened","conversation":"c1","session":"s1","email":"a@b.example"${more}}`);
    assert.deepEqual(event.val.extras, names ? [['verified', names]] : [], more);
  }
});

test('what cannot be verified or read is rejected', () => {
  const body = '{"event":"opened","conversation":"c1"}';
  const cases = [
    [body, { secret: 'other' }, 401, 'signature'],
    [body, { times: 0 }, 401, 'signature'],
    [body, { times: 2 }, 401, 'signature'],
    [body, { method: 'GET' }, 405, 'method'],
    ['{', {}, 400, 'body'],
    ['[]', {}, 400, 'body'],
    ['{"event":"opened"}', {}, 400, 'body'],
    ['{"event":"opened","conversation":[7]}', {}, 400, 'body'],
    ['{"event":"opened","conversation":" "}', {}, 400, 'body'],
  ];
  for (const [text, how, status, code] of cases) {
    const rejection = thrown(() => receive(text, how));
    assert.deepEqual([rejection.status, rejection.code], [status, code], text);
  }
});

test('without its secret every webhook is refused', () => {
  reset({});
  const headers = [['x-bot-signature', 'sha256=00']];
  const rejection = thrown(() => webhook.receive({ method: 'POST', url: '', headers, body: bytes('{}') }));
  assert.deepEqual([rejection.status, rejection.code], [503, 'secret']);
});
