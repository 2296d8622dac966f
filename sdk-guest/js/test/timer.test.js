import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import * as timer from '../src/timer.js';
import { error, host, reset } from '../testing/index.js';

beforeEach(() => reset({ now: 1_700_000_000_000 }));

test('a timer is set by a delay or a moment, set anew, cancelled and listed', () => {
  timer.set('quiet', { afterMs: 1_800_000 }, 'c-1');
  timer.set('quiet', { afterMs: 3_600_000 }, 'c-2');
  timer.set('day', { atMs: 1_700_086_400_000 });
  timer.set('soon', { atMs: 0 }, Uint8Array.of(1));
  timer.cancel('soon');
  timer.cancel('never');
  const waiting = timer.listTimers().map(({ name, atMs, payload }) => [name, atMs, [...payload]]);
  assert.deepEqual(waiting, [['day', 1_700_086_400_000, []], ['quiet', 1_700_003_600_000, [99, 45, 50]]]);
  assert.deepEqual(Object.keys(host.timers), ['quiet', 'day']);
});

test('a refusal is a failure that says what to do', () => {
  reset({ refused: error({ kind: 'unhandled', message: 'export `on-timer`' }) });
  const wanted = { kind: 'invalid', code: 'timer-unhandled', message: /on-timer/, sent: 'not-sent' };
  for (const call of [() => timer.set('a', { afterMs: 1 }), () => timer.cancel('a'), timer.listTimers]) {
    assert.throws(call, wanted);
  }
});
