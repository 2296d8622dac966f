// What went wrong, and what the host is to do about it.

import { u64 } from './engine.js';

const SECOND_MS = 1_000;

/** What the host does about each reason why there is no response. */
const KINDS = {
  // The operator can mend these two: the note waits for that.
  denied: 'auth',
  secret: 'auth',
  invalid: 'invalid',
  'too-large': 'permanent',
  connect: 'transient',
  timeout: 'transient',
  io: 'transient',
};

export function failure(kind, code, message, { sent = 'unknown', retryAfterMs, limitScope } = {}) {
  return {
    kind,
    code,
    message,
    retryAfterMs: retryAfterMs === undefined ? undefined : u64(retryAfterMs),
    sent,
    extras: scoped(limitScope),
  };
}

export const transient = (code, message, more) => failure('transient', code, message, more);
export const rateLimited = (code, message, more) => failure('rate-limited', code, message, more);
export const auth = (code, message, more) => failure('auth', code, message, more);
export const notFound = (code, message, more) => failure('not-found', code, message, more);
export const invalid = (code, message, more) => failure('invalid', code, message, more);
export const permanent = (code, message, more) => failure('permanent', code, message, more);

export const misconfigured = (message) => invalid('config', message, { sent: 'not-sent' });

export function fromStatus({ status, headers }) {
  // A gateway answers 408 or 5xx for a request that the platform behind it may have accepted; 503 says that
  // it was turned away.
  const unknown = status === 408 || (status >= 500 && status !== 503);
  const more = { sent: unknown ? 'unknown' : 'sent', retryAfterMs: retryAfterMs(headers) };
  return failure(kindOf(status), String(status), `the platform answered ${status}`, more);
}

function kindOf(status) {
  if (status === 429) return 'rate-limited';
  if (status === 401 || status === 403) return 'auth';
  if (status === 404 || status === 410) return 'not-found';
  if (status === 408 || status >= 500) return 'transient';
  return 'invalid';
}

export function fromError(thrown) {
  const { kind, message, sent } = thrown.payload ?? thrown;
  // What isn't the host's is a fault of the plugin, and shows as one.
  if (!(kind in KINDS)) throw thrown;
  return failure(KINDS[kind], `http-${kind}`, message, { sent });
}

/** What the host does about each reason why `kv` or `timer` refuses. */
const REFUSALS = {
  denied: 'auth',
  unhandled: 'invalid',
  'no-session': 'invalid',
  'read-only': 'invalid',
  invalid: 'invalid',
  // The operator or time can mend these two.
  full: 'transient',
  unavailable: 'transient',
};

export function refusal(what, thrown) {
  const { kind, message } = thrown.payload ?? thrown;
  if (!(kind in REFUSALS)) throw thrown;
  return failure(REFUSALS[kind], `${what}-${kind}`, message, { sent: 'not-sent' });
}

export function retryAfterMs(headers, now = Date.now()) {
  const value = headers.find(([name]) => name.toLowerCase() === 'retry-after')?.[1].trim();
  if (value === undefined) return undefined;
  let pause = NaN;
  if (/^\d{1,10}(\.\d+)?$/.test(value)) pause = Math.ceil(Number(value)) * SECOND_MS;
  if (value.endsWith(' GMT')) pause = Math.max(0, Date.parse(value) - now);
  return Number.isNaN(pause) ? undefined : pause;
}

export function isPassing({ kind }) {
  return kind === 'transient' || kind === 'rate-limited';
}

export function posted(noteId, { pauseMs, limitScope } = {}) {
  const pause = pauseMs === undefined ? [] : [['pause-ms', String(u64(pauseMs))]];
  return { noteId: noteId ?? undefined, extras: [...pause, ...scoped(limitScope)] };
}

function scoped(limitScope) {
  return limitScope === undefined ? [] : [['limit-scope', limitScope]];
}
