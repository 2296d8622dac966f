import type { Response, Sent } from '../src/types.js';

/** An error of the interface, as a call of it throws it. */
export interface Thrown {
  payload: unknown;
}

/** A request as the plugin sent it. */
export interface Request {
  method: string;
  url: string;
  headers: [string, string][];
  body: Uint8Array;
  secretsInBody: boolean;
  timeoutMs?: number;
}

/** What a test sets and sees. */
export interface Host {
  /** The settings. */
  config: Record<string, string>;
  /** The secrets, by name. */
  secrets: Record<string, string>;
  /** What is answered to requests, in order. */
  answers: (Response | Thrown)[];
  /** What was sent. */
  requests: Request[];
  /** What was logged: level, message, fields. */
  lines: [string, string, [string, string][]][];
  /** What is under the keys of each scope. */
  values: Record<'plugin' | 'session', Record<string, Uint8Array>>;
  /** The timers that wait, by name. */
  timers: Record<string, { atMs: number; payload: Uint8Array }>;
  /** The moment that it is for timers, in milliseconds since the Unix epoch. */
  now: number;
  /** What every call of `kv` and `timer` throws. */
  refused?: Thrown;
}

export const host: Host;
/** A new host: nothing is set but this. */
export function reset(settings?: Partial<Host>): void;
/** As a platform signs. */
export function signature(
  secret: string,
  data: string | Uint8Array,
  how?: { hash?: 'sha1' | 'sha256'; encoding?: 'hex' | 'base64' },
): string;
/** An answer of the platform. */
export function answer(status: number, body?: string | Uint8Array, headers?: [string, string][]): Response;
/** What a call of the interface throws, such as `error({ kind: 'io', message: 'lost', sent: 'unknown' })`. */
export function error(payload: string | { kind: string; message: string; sent?: Sent }): Thrown;
