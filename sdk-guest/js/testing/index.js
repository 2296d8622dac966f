// A host in memory, for unit tests in Node.js: what a plugin imports from `sidenote:plugin`, and what a test sets and sees
// of it.

import { createHmac } from 'node:crypto';

export const host = {};

export function reset(settings = {}) {
  const kept = { values: { plugin: {}, session: {} }, timers: {}, now: Date.now(), refused: undefined };
  Object.assign(host, { config: {}, secrets: {}, answers: [], requests: [], lines: [], ...kept }, settings);
}

reset();

export function signature(secret, data, { hash = 'sha256', encoding = 'hex' } = {}) {
  return createHmac(hash, secret).update(data).digest(encoding);
}

export function answer(status, body = '', headers = []) {
  return { status, headers, body: typeof body === 'string' ? new TextEncoder().encode(body) : body };
}

/** As the engines' bindings throw an error of the interface. */
export function error(payload) {
  return { payload };
}
