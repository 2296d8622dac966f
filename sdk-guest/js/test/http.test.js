import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import * as http from '../src/http.js';
import { answer, error, host, reset } from '../testing/index.js';

const url = 'https://api.example.com/notes';

beforeEach(() => reset({ answers: [answer(200, 'ok', [['x-one', '1']])] }));

test('a request is filled with what is usual', () => {
  const response = http.exchange({ url, json: { a: 'ü' }, headers: [['authorization', http.secret('token')]] });
  assert.equal(http.header(response, 'X-One'), '1');
  const [{ body, ...sent }] = host.requests;
  assert.equal(new TextDecoder().decode(body), '{"a":"ü"}');
  assert.deepEqual(sent, {
    method: 'POST',
    url,
    headers: [['content-type', 'application/json'], ['authorization', '{{secret:token}}']],
    secretsInBody: false,
    timeoutMs: undefined,
  });
});

test('without a body it is a GET, and what is said stays', () => {
  http.exchange({ url });
  reset({ answers: [answer(204), answer(204)] });
  http.exchange({ url, method: 'PUT', body: 'text', timeoutMs: 5 });
  http.exchange({ url, body: Uint8Array.of(1, 2) });
  const sent = host.requests.map(({ method, body, timeoutMs }) => [method, [...body], timeoutMs]);
  assert.deepEqual(sent, [['PUT', [116, 101, 120, 116], 5], ['POST', [1, 2], undefined]]);
});

test('no response and a refusal are failures', () => {
  reset({ answers: [error({ kind: 'io', message: 'lost', sent: 'unknown' })] });
  assert.throws(() => http.exchange({ url }), { kind: 'transient', code: 'http-io', sent: 'unknown' });
  for (const status of [200, 204, 299]) assert.equal(http.throwForStatus(answer(status)).status, status);
  for (const status of [199, 300, 404]) assert.throws(() => http.throwForStatus(answer(status)), { code: String(status) });
});

test('an answer that was cut off says so', () => {
  assert.equal(http.isTruncated(answer(200)), false);
  assert.equal(http.isTruncated(answer(200, '', [['x-sidenote-truncated', 'true']])), true);
});

test('an id cannot lead to another address', () => {
  const cases = [
    ['c-1_x.y~z', 'c-1_x.y~z'],
    ['../admin', '..%2Fadmin'],
    ['..', '%252E%252E'],
    ['.', '%252E'],
    ['...', '...'],
    ['a?b#c', 'a%3Fb%23c'],
    ['%2F', '%252F'],
    ["!'()*", '%21%27%28%29%2A'],
    ['\ud83d', '%EF%BF%BD'],
    ['', ''],
  ];
  for (const [id, wanted] of cases) assert.equal(http.encode(id), wanted);
});
