import type { Failure, FailureKind, LimitScope, Posted, Sent } from './types.js';

export type { Failure, FailureKind, LimitScope, Posted, Sent } from './types.js';

/** What else a failure says. */
export interface More {
  /** Whether the platform may have the note: `sent` where it refused it. Default: `unknown`. */
  sent?: Sent;
  /** How long to wait at least, in milliseconds. */
  retryAfterMs?: number | bigint;
  /** What a rate limit is for. The host holds back the whole account where it isn't said. */
  limitScope?: LimitScope;
}

/** A failure, to be thrown. */
export function failure(kind: FailureKind, code: string, message: string, more?: More): Failure;
/** The host tries again later. */
export function transient(code: string, message: string, more?: More): Failure;
/** The host waits for `retryAfterMs` and tries again; no attempt is used up. */
export function rateLimited(code: string, message: string, more?: More): Failure;
/** The credentials were refused: the host tries again later and tells the operator. */
export function auth(code: string, message: string, more?: More): Failure;
/** The conversation isn't there: a dead letter. */
export function notFound(code: string, message: string, more?: More): Failure;
/** The request is wrong: a dead letter. */
export function invalid(code: string, message: string, more?: More): Failure;
/** It will never succeed: a dead letter. */
export function permanent(code: string, message: string, more?: More): Failure;
/** The plugin's configuration can't be used: nothing was sent. */
export function misconfigured(message: string): Failure;

/**
 * What a response that isn't a success means, with its `Retry-After`: 429 is rate-limited, 401 and 403 are auth, 404 and
 * 410 not-found, 408 and 5xx transient, others invalid.
 */
export function fromStatus(response: { status: number; headers: [string, string][] }): Failure;
/** What it means that there is no response: of what `send` of the interface threw. Anything else is thrown again. */
export function fromError(thrown: unknown): Failure;
/**
 * What it means that `kv` or `timer` (`what`) refused, of what its functions throw: right where nothing was sent before.
 * Anything else is thrown again.
 */
export function refusal(what: string, thrown: unknown): Failure;
/** The pause that `Retry-After` asks for, in seconds or up to a date; undefined where it says nothing. */
export function retryAfterMs(headers: [string, string][], now?: number): number | undefined;
/** Whether it passes by itself: transient and rate-limited do. */
export function isPassing(failure: { kind: FailureKind }): boolean;

/**
 * The platform has the note. `pauseMs` says that it takes nothing more for so long, and `limitScope` of what: for
 * platforms that tell how much of a limit is left.
 */
export function posted(noteId?: string | null, more?: { pauseMs?: number | bigint; limitScope?: LimitScope }): Posted;
