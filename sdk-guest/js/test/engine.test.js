// What QuickJS lacks, held against what Node.js has.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { test } from 'node:test';

import { isNone, u64 } from '../src/engine.js';

const { TextDecoder, TextEncoder } = globalThis;

test('text is coded as the web does it, broken text too', async () => {
  delete globalThis.TextEncoder;
  delete globalThis.TextDecoder;
  const without = await import('../src/engine.js?without');
  const mine = [new globalThis.TextEncoder(), new globalThis.TextDecoder()];
  Object.assign(globalThis, { TextDecoder, TextEncoder });
  assert.notEqual(mine[0].constructor, TextEncoder);
  assert.deepEqual([without.u64(7000), without.u64(0.5), without.u64(7n)], [7000, 1, 7]);
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

test('numbers of 64 bits are the bindings\' own, and never below zero', () => {
  assert.deepEqual([u64(7000), u64(0.5), u64(-3), u64(7n)], [7000n, 1n, 0n, 7n]);
  assert.deepEqual([isNone(null), isNone(undefined), isNone(0), isNone('')], [true, true, false, false]);
});

test('a plugin that uses the package needs nothing but the interface', () => {
  const folder = new URL('../src/', import.meta.url);
  const sources = readdirSync(folder).filter((name) => name.endsWith('.js'));
  assert.ok(sources.length >= 8, String(sources));
  for (const name of sources) {
    const text = readFileSync(new URL(name, folder), 'utf8');
    for (const [, from] of text.matchAll(/^(?:import|export)\b.*?'([^']+)';$/gm)) {
      assert.match(from, /^(\.\/[a-z]+\.js|sidenote:plugin\/[a-z]+@0\.1\.0)$/, `${name} imports ${from}`);
    }
    assert.doesNotMatch(text, /\b(process|require|Buffer|setTimeout|fetch)\b[.(]/, name);
  }
});

test('every module has its types, and both are in the package', () => {
  const { exports } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
  const modules = Object.values(exports).filter((it) => typeof it === 'object');
  assert.ok(modules.length >= 9);
  for (const { types, default: code } of modules) {
    const declared = readFileSync(new URL(`../${types}`, import.meta.url), 'utf8');
    const names = (text) => [...text.matchAll(/^export (?:declare )?(?:function|const|class) (\w+)/gm)].map(([, name]) => name);
    const wanted = new Set(names(readFileSync(new URL(`../${code}`, import.meta.url), 'utf8')));
    assert.deepEqual(new Set(names(declared)), wanted, code);
  }
});
