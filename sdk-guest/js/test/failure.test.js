import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as failures from '../src/failure.js';

const { fromError, fromStatus, retryAfterMs } = failures;

test('statuses become failures', () => {
  const cases = [
    [429, 'rate-limited', 'sent'],
    [401, 'auth', 'sent'],
    [403, 'auth', 'sent'],
    [404, 'not-found', 'sent'],
    [410, 'not-found', 'sent'],
    [408, 'transient', 'unknown'],
    [500, 'transient', 'unknown'],
    [503, 'transient', 'sent'],
    [504, 'transient', 'unknown'],
    [301, 'invalid', 'sent'],
    [400, 'invalid', 'sent'],
    [422, 'invalid', 'sent'],
  ];
  for (const [status, kind, sent] of cases) {
    const failure = fromStatus({ status, headers: [] });
    assert.deepEqual([failure.kind, failure.code, failure.sent], [kind, String(status), sent]);
    assert.equal(failures.isPassing(failure), ['transient', 'rate-limited'].includes(kind), status);
  }
});

test('retry-after is read as seconds or a date', () => {
  const now = Date.parse('Sun, 06 Nov 1994 08:49:37 GMT');
  const cases = [
    ['7', 7000],
    ['0.5', 1000],
    ['7.0', 7000],
    [' 30 ', 30_000],
    ['Sun, 06 Nov 1994 08:49:40 GMT', 3000],
    ['Sun, 06 Nov 1994 08:00:00 GMT', 0],
    ['-1', undefined],
    ['.5', undefined],
    ['99999999999999999999', undefined],
    ['soon', undefined],
    ['no date GMT', undefined],
  ];
  for (const [value, wait] of cases) assert.equal(retryAfterMs([['Retry-After', value]], now), wait, value);
  assert.equal(retryAfterMs([], now), undefined);
  assert.equal(fromStatus({ status: 429, headers: [['retry-after', '7']] }).retryAfterMs, 7000n);
});

test('no response is a failure that says whether the request may have arrived', () => {
  const cases = [
    ['denied', 'auth'],
    ['secret', 'auth'],
    ['invalid', 'invalid'],
    ['too-large', 'permanent'],
    ['connect', 'transient'],
    ['timeout', 'transient'],
    ['io', 'transient'],
  ];
  for (const [kind, wanted] of cases) {
    const error = { kind, message: 'why', sent: 'unknown' };
    for (const thrown of [error, { payload: error }]) {
      const failure = fromError(thrown);
      assert.deepEqual([failure.kind, failure.code, failure.sent], [wanted, `http-${kind}`, 'unknown']);
    }
  }
  const fault = new TypeError('a fault of the plugin');
  assert.throws(() => fromError(fault), fault);
});

test('a failure says what its name says, and what else is known', () => {
  const { auth, invalid, notFound, permanent, rateLimited, transient } = failures;
  const kinds = [transient, rateLimited, auth, notFound, invalid, permanent].map((make) => make('c', 'm').kind);
  assert.deepEqual(kinds, ['transient', 'rate-limited', 'auth', 'not-found', 'invalid', 'permanent']);
  const limited = rateLimited('slow', 'why', { retryAfterMs: 1500.2, limitScope: 'conversation', sent: 'sent' });
  assert.deepEqual(limited, {
    kind: 'rate-limited',
    code: 'slow',
    message: 'why',
    retryAfterMs: 1501n,
    sent: 'sent',
    extras: [['limit-scope', 'conversation']],
  });
  assert.deepEqual([transient('c', 'm').sent, failures.misconfigured('m').sent], ['unknown', 'not-sent']);
});

test('a note that was posted has its id, and a pause where the platform tells of one', () => {
  assert.deepEqual(failures.posted('n1'), { noteId: 'n1', extras: [] });
  assert.equal(failures.posted(null).noteId, undefined);
  const extras = [['pause-ms', '1500'], ['limit-scope', 'conversation']];
  assert.deepEqual(failures.posted('n1', { pauseMs: 1500, limitScope: 'conversation' }).extras, extras);
});
