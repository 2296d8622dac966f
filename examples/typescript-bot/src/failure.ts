// What went wrong, and what the host is to do about it.

import type { Error as NoResponse, ErrorKind, Response } from 'sidenote:plugin/http@0.1.0';
import type { Failure, FailureKind, Sent } from 'sidenote:plugin/types@0.1.0';

const SECOND_MS = 1_000;

/** `sent` says whether the platform may have the note: 'sent' where it answered that it doesn't. */
export function failure(
  kind: FailureKind,
  code: string,
  message: string,
  sent: Sent,
  retryAfterMs?: bigint,
): Failure {
  return { kind, code, message, retryAfterMs, sent, extras: [] };
}

/** What a response that isn't a success means. */
export function fromStatus({ status, headers }: Response): Failure {
  // A gateway answers 408 or 5xx for a request that the platform behind it may have accepted; 503 says that
  // it was turned away.
  const unknown = status === 408 || (status >= 500 && status !== 503);
  const pause = retryAfterMs(headers, Date.now());
  const message = `the platform answered ${status}`;
  return failure(kindOf(status), String(status), message, unknown ? 'unknown' : 'sent', pause);
}

function kindOf(status: number): FailureKind {
  if (status === 429) return 'rate-limited';
  if (status === 401 || status === 403) return 'auth';
  if (status === 404 || status === 410) return 'not-found';
  if (status === 408 || status >= 500) return 'transient';
  return 'invalid';
}

const KINDS: Record<ErrorKind, FailureKind> = {
  // The operator can mend these two: the note waits for that.
  denied: 'auth',
  secret: 'auth',
  invalid: 'invalid',
  'too-large': 'permanent',
  connect: 'transient',
  timeout: 'transient',
  io: 'transient',
};

/** What it means that there is no response. */
export function fromError({ kind, message, sent }: NoResponse): Failure {
  return failure(KINDS[kind], `http-${kind}`, message, sent);
}

/** The pause that `Retry-After` asks for, in seconds or up to a date; undefined where it says nothing. */
function retryAfterMs(headers: [string, string][], now: number): bigint | undefined {
  const value = headers.find(([name]) => name.toLowerCase() === 'retry-after')?.[1].trim();
  if (value === undefined) return undefined;
  let pause = NaN;
  if (/^\d{1,10}(\.\d+)?$/.test(value)) pause = Math.ceil(Number(value)) * SECOND_MS;
  if (value.endsWith(' GMT')) pause = Math.max(0, Date.parse(value) - now);
  return Number.isNaN(pause) ? undefined : BigInt(pause);
}
