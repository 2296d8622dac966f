// What QuickJS lacks, held against what Node.js has.

import assert from 'node:assert/strict';
import { test } from 'node:test';

const { TextDecoder, TextEncoder } = globalThis;

test('text is coded as the web does it, broken text too', async () => {
  delete globalThis.TextEncoder;
  delete globalThis.TextDecoder;
  const { u64 } = await import('../src/engine.js?without');
  const mine = [new globalThis.TextEncoder(), new globalThis.TextDecoder()];
  Object.assign(globalThis, { TextDecoder, TextEncoder });
  assert.notEqual(mine[0].constructor, TextEncoder);
  assert.equal(u64(7000), 7000);
  for (const text of ['', 'a ✓ ü 👩‍👩‍👧 \u0000', '\ud800', 'x\udc00y', '\ufeffz', 'long ✓'.repeat(5000)]) {
    assert.deepEqual(mine[0].encode(text), new TextEncoder().encode(text));
    assert.equal(mine[1].decode(new TextEncoder().encode(text)), new TextDecoder().decode(new TextEncoder().encode(text)));
  }
  const broken = [[0x80], [0x61, 0xff, 0x62], [0xc0, 0xaf], [0xed, 0xa0, 0x80], [0xf5, 0x80], [0xc3, 0xa9, 0xc3], [0xef, 0xbb, 0xbf]];
  for (const list of broken) {
    const bytes = Uint8Array.from(list);
    assert.equal(mine[1].decode(bytes), new TextDecoder().decode(bytes), String(list));
  }
});
