// Makes the components of both engines: node build.mjs SDK WIT. SDK: the package's folder; WIT: the interface's.
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { componentize as starlingmonkey } from '@bytecodealliance/componentize-js';
import { componentize as quickjs } from 'componentize-qjs';
import { build } from 'esbuild';

const [sdk, interfaces] = process.argv.slice(2);
const world = 'package sidenote:plugin@0.1.0;\n\nworld keeper { include writer-plugin; import kv; import timer; export on-timer; }\n';
await mkdir('wit', { recursive: true });
await cp(interfaces, 'wit', { recursive: true });
await writeFile('wit/keeper.wit', world);
const bundled = { entryPoints: ['keeper.js'], outfile: 'plugin.js', bundle: true, format: 'esm', external: ['sidenote:*'] };
await build({ ...bundled, alias: Object.fromEntries(['config', 'failure', 'http', 'kv', 'timer', 'values'].map((it) => [`@sidenote/plugin/${it}`, `${sdk}/src/${it}.js`])) });
const disableFeatures = ['stdio', 'random', 'http', 'fetch-event'];
const { component } = await starlingmonkey({ sourcePath: 'plugin.js', witPath: 'wit', worldName: 'keeper', disableFeatures });
await writeFile('starlingmonkey.wasm', component);
const small = await quickjs({ jsSource: await readFile('plugin.js', 'utf8'), witPath: 'wit', world: 'keeper', sync: true });
await writeFile('quickjs.wasm', small.component);
