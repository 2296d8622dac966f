// Has the plugin's imports from the host resolved to `host.mjs`, for tests in Node.js.

import { register } from 'node:module';

const hooks = `export const resolve = (specifier, context, next) =>
  specifier.startsWith('sidenote:plugin/')
    ? { url: '${new URL('./host.mjs', import.meta.url)}', shortCircuit: true }
    : next(specifier, context);`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
