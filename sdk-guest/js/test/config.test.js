import assert from 'node:assert/strict';
import { test } from 'node:test';

import { flag, number, required, setting } from '../src/config.js';
import { reset } from '../testing/index.js';

test('a setting is read as what it is, or refused with its key', () => {
  reset({ config: { url: 'u', empty: '', on: 'true', off: 'false', odd: 'yes', many: '1.5', blank: ' ' } });
  assert.deepEqual([setting('url'), setting('none'), required('url')], ['u', undefined, 'u']);
  assert.deepEqual([flag('on'), flag('off', true), flag('none'), flag('none', true)], [true, false, false, true]);
  assert.deepEqual([number('many'), number('none', 4), number('none')], [1.5, 4, undefined]);
  const wrong = [() => required('empty'), () => required('none'), () => flag('odd'), () => number('odd'), () => number('blank')];
  for (const read of wrong) assert.throws(read, { kind: 'invalid', code: 'config', sent: 'not-sent', message: /`/ });
});
