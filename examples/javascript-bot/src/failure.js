// What went wrong, and what the host is to do about it.

import { u64 } from './engine.js';

const SECOND_MS = 1_000;

/**
 * @param kind what the host does: 'transient' and 'rate-limited' are tried again, 'auth' waits for the
 *   operator, 'not-found', 'invalid' and 'permanent' become dead letters
 * @param sent whether the platform may have the note: 'not-sent', 'unknown', or 'sent' where it refused
 */
export function failure(kind, code, message, sent, retryAfterMs) {
  return { kind, code, message, retryAfterMs, sent, extras: [] };
}

/** What a response that isn't a success means. */
export function fromStatus({ status, headers }) {
  // A gateway answers 408 or 5xx for a request that the platform behind it may have accepted; 503 says that
  // it was turned away.
  const unknown = status === 408 || (status >= 500 && status !== 503);
  const pause = retryAfterMs(headers, Date.now());
  const message = `the platform answered ${status}`;
  return failure(kindOf(status), String(status), message, unknown ? 'unknown' : 'sent', pause);
}

function kindOf(status) {
  if (status === 429) return 'rate-limited';
  if (status === 401 || status === 403) return 'auth';
  if (status === 404 || status === 410) return 'not-found';
  if (status === 408 || status >= 500) return 'transient';
  return 'invalid';
}

/** What it means that there is no response. */
export function fromError({ kind, message, sent }) {
  const kinds = {
    // The operator can mend these: the note waits for that.
    denied: 'auth',
    secret: 'auth',
    invalid: 'invalid',
    'too-large': 'permanent',
  };
  return failure(kinds[kind] ?? 'transient', `http-${kind}`, message, sent);
}

/** The pause that `Retry-After` asks for, in seconds or up to a date; undefined where it says nothing. */
function retryAfterMs(headers, now) {
  const value = headers.find(([name]) => name.toLowerCase() === 'retry-after')?.[1].trim();
  if (value === undefined) return undefined;
  let pause = NaN;
  if (/^\d{1,10}(\.\d+)?$/.test(value)) pause = Math.ceil(Number(value)) * SECOND_MS;
  if (value.endsWith(' GMT')) pause = Math.max(0, Date.parse(value) - now);
  return Number.isNaN(pause) ? undefined : u64(pause);
}
