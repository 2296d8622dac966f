// Small values that the host keeps for the plugin: stored together with the call's outcome, or not at all.

import { delete as drop, get as read, listKeys as list, set as write } from 'sidenote:plugin/kv@0.1.0';

import { isNone } from './engine.js';
import { refusal } from './failure.js';
import { parse } from './values.js';


export function get(scope, key) {
  const value = asked(() => read(scope, key));
  return isNone(value) ? undefined : value;
}

export function getText(scope, key) {
  const value = get(scope, key);
  return value && new TextDecoder().decode(value);
}

export function getJson(scope, key) {
  const value = get(scope, key);
  try {
    return value && parse(value);
  } catch {
    // An earlier version of the plugin wrote it otherwise.
    return undefined;
  }
}

export function set(scope, key, value) {
  asked(() => write(scope, key, typeof value === 'string' ? new TextEncoder().encode(value) : value));
}

export function setJson(scope, key, value) {
  set(scope, key, JSON.stringify(value));
}

export function remove(scope, key) {
  asked(() => drop(scope, key));
}

export function listKeys(scope, prefix = '', { after, limit = 100 } = {}) {
  return asked(() => list(scope, prefix, after, limit));
}

function asked(call) {
  try {
    return call();
  } catch (error) {
    throw refusal('kv', error);
  }
}
