// The example of the README does what it says.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { answer, host, reset } from '../testing/index.js';

test('the example posts a note', async () => {
  const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
  const [[, code], ...others] = readme.matchAll(/```js\n(.*?)```/gs);
  assert.equal(others.length, 0);
  // What stands in a `data:` address has no package around it.
  const placed = code.replace(/'(@sidenote\/plugin\/\w+)'/g, (_, name) => `'${import.meta.resolve(name)}'`);
  const { writer } = await import(`data:text/javascript,${encodeURIComponent(placed)}`);
  reset({ config: { url: 'https://bot.example/notes' }, answers: [answer(200), answer(429, '', [['retry-after', '7']])] });
  const note = { conversationId: 'c1', body: 'hello' };
  assert.deepEqual(writer.postNote({ idempotencyKey: 'k1' }, note), { noteId: undefined, extras: [] });
  assert.deepEqual(JSON.parse(new TextDecoder().decode(host.requests[0].body)), { conversation: 'c1', text: 'hello', key: 'k1' });
  assert.throws(() => writer.postNote({ idempotencyKey: 'k2' }, note), { kind: 'rate-limited', retryAfterMs: 7000n });
});
