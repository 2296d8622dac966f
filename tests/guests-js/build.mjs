// Makes a component of a writer in JavaScript: `node build.mjs SOURCE WIT-FOLDER OUTPUT`.

import { writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const [sourcePath, witPath, output] = process.argv.slice(2);
if (!output) throw new Error('usage: node build.mjs SOURCE WIT-FOLDER OUTPUT');

const { component } = await componentize({
  sourcePath,
  witPath,
  worldName: 'writer-plugin',
  // `http` stays: it is what `fetch` is made of. An incoming request never reaches a writer.
  disableFeatures: ['fetch-event'],
});
await writeFile(output, component);
