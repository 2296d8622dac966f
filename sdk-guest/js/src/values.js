// JSON as platforms write it, and what is in it: a value of another type takes nothing else with it.

import './engine.js';

const DEEPEST = 64;

export class Unreadable extends Error {}

export function parse(body, { deepest = DEEPEST } = {}) {
  const text = typeof body === 'string' ? body : new TextDecoder().decode(body);
  // Engines read JSON by recursion, and the stack has an end.
  if (isDeep(text, deepest)) throw new Unreadable(`nests deeper than ${deepest} levels`);
  try {
    return JSON.parse(text);
  } catch {
    throw new Unreadable("isn't JSON");
  }
}

function isDeep(text, deepest) {
  if (!opensOften(text, deepest)) return false;
  let [depth, isQuoted] = [0, false];
  for (const [sign] of text.matchAll(/\\.|["[\]{}]/gs)) {
    if (sign === '"') isQuoted = !isQuoted;
    else if (!isQuoted && (sign === '[' || sign === '{')) depth += 1;
    else if (!isQuoted && (sign === ']' || sign === '}')) depth -= 1;
    if (depth > deepest) return true;
  }
  return false;
}

/** Whether there are more brackets than levels: a long text without them is looked at by the engine alone. */
function opensOften(text, deepest) {
  let count = 0;
  for (const sign of ['[', '{']) {
    for (let at = text.indexOf(sign); at >= 0; at = text.indexOf(sign, at + 1)) {
      count += 1;
      if (count > deepest) return true;
    }
  }
  return false;
}

export function id(value) {
  if (Number.isSafeInteger(value)) return String(value);
  const known = text(value);
  return known === undefined || known.trim() === '' ? undefined : known;
}

export function text(value) {
  return typeof value === 'string' ? value.toWellFormed() : undefined;
}

export function number(value) {
  return Number.isFinite(value) ? value : undefined;
}

export function object(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value) ? value : undefined;
}

export function list(value) {
  return Array.isArray(value) ? value : [];
}
