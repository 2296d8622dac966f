// `node --import @sidenote/plugin/testing/register --test`: imports of `sidenote:plugin` lead to the host in memory.

import { register } from 'node:module';

const imports = new URL('./imports/', import.meta.url);
const hooks = `export const resolve = (specifier, context, next) => {
  const [, name] = /^sidenote:plugin\\/([a-z-]+)@/.exec(specifier) ?? [];
  return name ? { url: new URL(name + '.js', '${imports}').href, shortCircuit: true } : next(specifier, context);
};`;
register(`data:text/javascript,${encodeURIComponent(hooks)}`);
