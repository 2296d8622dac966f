// Makes the component: `npm run build`.

import { execFileSync } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const NAME = 'example-bot';
const SIDENOTE = process.env.SIDENOTE ?? 'sidenote';

const { component } = await componentize({
  sourcePath: 'src/bot.js',
  witPath: 'wit',
  worldName: 'chatbot-plugin',
  // A plugin posts through `sidenote:plugin/http`. What isn't used here isn't imported, either.
  disableFeatures: ['stdio', 'random', 'http', 'fetch-event'],
});
// The manifest goes in last, so that a folder that a host watches never sees a plugin without it.
const part = `${NAME}.part`;
await writeFile(part, component);
execFileSync(SIDENOTE, ['plugin', 'pack', part, '--manifest', 'manifest.json', '-o', `${NAME}.wasm`], {
  stdio: 'inherit',
});
await rm(part);
