// A host in memory: what the plugin imports from `sidenote:plugin`, and what a test sets of it.

export const host = { config: {} };

export function reset(settings) {
  Object.assign(host, { config: {} }, settings);
}

export const get = (key) => host.config[key];
