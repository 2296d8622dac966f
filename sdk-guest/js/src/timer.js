// To be called later about the call's session: `set` here, and export `onTimer`.

import { cancel as drop, listTimers as list, set as put } from 'sidenote:plugin/timer@0.1.0';

import { u64 } from './engine.js';
import { refusal } from './failure.js';

export function set(name, { afterMs, atMs }, payload = '') {
  const moment =
    atMs === undefined ? { tag: 'after-ms', val: u64(afterMs) } : { tag: 'at-ms', val: u64(atMs) };
  const bytes = typeof payload === 'string' ? new TextEncoder().encode(payload) : payload;
  asked(() => put(name, moment, bytes));
}

export function cancel(name) {
  asked(() => drop(name));
}

export function listTimers() {
  return asked(list).map((timer) => ({ ...timer, atMs: Number(timer.atMs) }));
}

function asked(call) {
  try {
    return call();
  } catch (error) {
    throw refusal('timer', error);
  }
}
