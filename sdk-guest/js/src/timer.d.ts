/** When a timer is due: so many milliseconds from now, or at this moment in milliseconds since the Unix epoch. */
export type Moment = { afterMs: number; atMs?: undefined } | { atMs: number; afterMs?: undefined };

/** A timer that isn't due yet. */
export interface Waiting {
  name: string;
  atMs: number;
  payload: Uint8Array;
}

/** Sets a timer, in the place of one of the same name that isn't due yet. Throws a failure where the host refuses. */
export function set(name: string, moment: Moment, payload?: Uint8Array | string): void;
/** Cancels a timer that isn't due yet. One that isn't there is fine. */
export function cancel(name: string): void;
/** The plugin's timers of the session that aren't due yet, in the order of their names. */
export function listTimers(): Waiting[];
