// Makes the component: `npm run build`.

import { spawnSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';
import { build } from 'esbuild';

const NAME = 'example-bot';
const BUNDLE = 'build/plugin.js';
const SIDENOTE = process.env.SIDENOTE ?? 'sidenote';

// One file with all that it imports, but for the interface: StarlingMonkey reads no `node_modules`.
await build({ entryPoints: ['build/bot.js'], outfile: BUNDLE, bundle: true, format: 'esm', external: ['sidenote:*'] });

const { component } = await componentize({
  sourcePath: BUNDLE,
  witPath: 'wit',
  worldName: 'chatbot-plugin',
  // A plugin posts through `sidenote:plugin/http`. What isn't used here isn't imported, either.
  disableFeatures: ['stdio', 'random', 'http', 'fetch-event'],
});
// The manifest goes in last, so that a folder that a host watches never sees a plugin without it.
const part = `${NAME}.part`;
await writeFile(part, component);
const words = ['plugin', 'pack', part, '--manifest', 'manifest.json', '-o', `${NAME}.wasm`];
const packed = spawnSync(SIDENOTE, words, { stdio: 'inherit' });
await rm(part);
if (packed.error) {
  console.error(`build: ${SIDENOTE} can't be run (${packed.error.code}): put sidenote on the PATH, or set SIDENOTE to its file`);
}
process.exitCode = packed.status ?? 1;
