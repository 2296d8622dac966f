// Makes the component: `npm run build` with StarlingMonkey, `npm run build:quickjs` with QuickJS.

import { spawnSync } from 'node:child_process';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { build } from 'esbuild';

const NAME = 'example-trigger';
const SOURCE = 'src/trigger.js';
const WORLD = 'trigger-plugin';
const BUNDLE = 'build/plugin.js';
const SIDENOTE = process.env.SIDENOTE ?? 'sidenote';

const ENGINES = {
  async starlingmonkey() {
    const { componentize } = await import('@bytecodealliance/componentize-js');
    return componentize({
      sourcePath: BUNDLE,
      witPath: 'wit',
      worldName: WORLD,
      // What isn't used here isn't imported, either.
      disableFeatures: ['stdio', 'random', 'http', 'fetch-event'],
    });
  },
  async quickjs() {
    const { componentize } = await import('componentize-qjs');
    const jsSource = await readFile(BUNDLE, 'utf8');
    // A host calls synchronous exports.
    return componentize({ jsSource, witPath: 'wit', world: WORLD, sync: true });
  },
};

// One file with all that it imports, but for the interface: StarlingMonkey reads no `node_modules`.
await build({ entryPoints: [SOURCE], outfile: BUNDLE, bundle: true, format: 'esm', external: ['sidenote:*'] });

const { component } = await ENGINES[process.argv[2] ?? 'starlingmonkey']();
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
