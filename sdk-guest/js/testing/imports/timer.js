import { host } from '../index.js';

const timers = () => {
  if (host.refused) throw host.refused;
  return host.timers;
};

export function set(name, { tag, val }, payload) {
  const at = tag === 'at-ms' ? Number(val) : host.now + Number(val);
  timers()[name] = { atMs: Math.max(at, host.now + 1_000), payload: payload.slice() };
}

export const cancel = (name) => void delete timers()[name];

export function listTimers() {
  const named = ([name, { atMs, payload }]) => ({ name, atMs: BigInt(atMs), payload });
  return Object.entries(timers()).sort(([one], [other]) => (one < other ? -1 : 1)).map(named);
}
