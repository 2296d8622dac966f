// Makes the component: `npm run build`.

import { spawnSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const NAME = 'example-trigger';
const SIDENOTE = process.env.SIDENOTE ?? 'sidenote';

const { component } = await componentize({
  sourcePath: 'src/trigger.js',
  witPath: 'wit',
  worldName: 'trigger-plugin',
  // What isn't used here isn't imported, either.
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
