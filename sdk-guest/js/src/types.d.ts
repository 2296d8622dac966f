// The interface's types as far as they are named here. They fit those that `jco guest-types` makes of `wit/`.

/** Key and value. */
export type Extras = [string, string][];
/** What the host does about a failure. */
export type FailureKind = 'transient' | 'rate-limited' | 'auth' | 'not-found' | 'invalid' | 'permanent';
/** Whether bytes of the request left the host. */
export type Sent = 'not-sent' | 'unknown' | 'sent';
/** What a platform's limit is for: all that is sent with these credentials, or the one conversation. */
export type LimitScope = 'account' | 'conversation';

/** Why something didn't succeed. */
export interface Failure {
  kind: FailureKind;
  code: string;
  message: string;
  retryAfterMs?: bigint;
  sent: Sent;
  extras: Extras;
}

/** A note, an offer or a reply that the platform accepted. */
export interface Posted {
  noteId?: string;
  extras: Extras;
}

/** A response. */
export interface Response {
  status: number;
  headers: [string, string][];
  body: Uint8Array;
}
