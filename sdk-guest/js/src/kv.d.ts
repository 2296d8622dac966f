/** Whose a value is: `plugin`, all calls of the plugin see it; `session`, the session's that the call is about. */
export type Scope = 'plugin' | 'session';

/** The value under a key; undefined where there is none. This and all others here throw a failure where the host refuses. */
export function get(scope: Scope, key: string): Uint8Array | undefined;
/** The text under a key. */
export function getText(scope: Scope, key: string): string | undefined;
/** What `setJson` put under a key; undefined also for what is no JSON. */
export function getJson(scope: Scope, key: string): unknown;
/** Has a value under a key, in the place of what was there. */
export function set(scope: Scope, key: string, value: Uint8Array | string): void;
/** As `set`, of anything that can be written as JSON. */
export function setJson(scope: Scope, key: string, value: unknown): void;
/** Has nothing under a key. One that isn't there is fine. */
export function remove(scope: Scope, key: string): void;
/** The first keys that begin with `prefix`, behind `after`; at most `limit` of them, and never more than 100. */
export function listKeys(
  scope: Scope,
  prefix?: string,
  page?: { after?: string; limit?: number },
): { keys: string[]; more: boolean };
