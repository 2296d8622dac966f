import { host } from '../index.js';

const values = (scope) => {
  if (host.refused) throw host.refused;
  return host.values[scope];
};
// What is kept is a copy, as outside of a component.
export const get = (scope, key) => values(scope)[key]?.slice();
export const set = (scope, key, value) => void (values(scope)[key] = value.slice());
const remove = (scope, key) => void delete values(scope)[key];
export { remove as delete };

export function listKeys(scope, prefix, after, limit) {
  const behind = (key) => key.startsWith(prefix) && (after === undefined || key > after);
  const keys = Object.keys(values(scope)).filter(behind).sort();
  const page = keys.slice(0, Math.min(limit, 100));
  return { keys: page, more: page.length < keys.length };
}
