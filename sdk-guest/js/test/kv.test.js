import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import * as kv from '../src/kv.js';
import { error, host, reset } from '../testing/index.js';

beforeEach(() => reset());

test('a value is what was put there last, in its scope', () => {
  kv.set('session', 'thread', 't-1');
  kv.set('session', 'thread', Uint8Array.of(116, 45, 50));
  kv.setJson('plugin', 'thread', { ids: ['ü'] });
  assert.deepEqual([...kv.get('session', 'thread')], [116, 45, 50]);
  assert.equal(kv.getText('session', 'thread'), 't-2');
  assert.deepEqual(kv.getJson('plugin', 'thread'), { ids: ['ü'] });
  kv.remove('session', 'thread');
  kv.remove('session', 'never');
  const gone = [kv.get, kv.getText, kv.getJson].map((read) => read('session', 'thread'));
  assert.deepEqual(gone, [undefined, undefined, undefined]);
  assert.deepEqual(Object.keys(host.values.plugin), ['thread']);
});

test('an empty value is one, and what is no JSON is nothing', () => {
  kv.set('plugin', 'empty', '');
  assert.deepEqual([kv.get('plugin', 'empty').length, kv.getText('plugin', 'empty')], [0, '']);
  assert.equal(kv.getJson('plugin', 'empty'), undefined);
});

test('keys are listed by page', () => {
  for (const key of ['job/b', 'job/c', 'job/a', 'other']) kv.set('plugin', key, '');
  const first = kv.listKeys('plugin', 'job/', { limit: 2 });
  assert.deepEqual(first, { keys: ['job/a', 'job/b'], more: true });
  assert.deepEqual(kv.listKeys('plugin', 'job/', { after: 'job/b' }), { keys: ['job/c'], more: false });
});

test('a refusal is a failure that says what to do', () => {
  const kinds = { denied: 'auth', 'no-session': 'invalid', 'read-only': 'invalid', full: 'transient', unavailable: 'transient' };
  for (const [why, kind] of Object.entries(kinds)) {
    reset({ refused: error({ kind: why, message: 'm' }) });
    const calls = [() => kv.get('plugin', 'k'), () => kv.set('plugin', 'k', ''), () => kv.remove('plugin', 'k'), () => kv.listKeys('plugin')];
    for (const call of calls) assert.throws(call, { kind, code: `kv-${why}`, message: 'm', sent: 'not-sent' });
  }
  reset({ refused: new TypeError('a fault') });
  assert.throws(() => kv.get('plugin', 'k'), TypeError);
});
