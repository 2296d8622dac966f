// The operator's settings of this plugin (`[plugins.NAME.config]`).

import { get } from 'sidenote:plugin/config@0.1.0';

import { misconfigured } from './failure.js';

export function setting(key) {
  return get(key) ?? undefined;
}

export function required(key) {
  const value = setting(key);
  if (!value) throw misconfigured(`config key \`${key}\` is missing; set it in [plugins.NAME.config]`);
  return value;
}

export function flag(key, otherwise = false) {
  const value = setting(key);
  if (value === undefined) return otherwise;
  if (value !== 'true' && value !== 'false') {
    throw misconfigured(`config key \`${key}\` must be "true" or "false"`);
  }
  return value === 'true';
}

export function number(key, otherwise) {
  const value = setting(key);
  if (value === undefined) return otherwise;
  const known = value.trim() === '' ? NaN : Number(value);
  if (!Number.isFinite(known)) throw misconfigured(`config key \`${key}\` must be a number`);
  return known;
}
