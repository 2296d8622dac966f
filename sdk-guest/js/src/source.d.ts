import type { Extras, Response } from './types.js';

/** What kind of thing happened. */
export type EventKind =
  | 'custom'
  | 'page'
  | 'screen'
  | 'click'
  | 'change'
  | 'submit'
  | 'rage-click'
  | 'dead-click'
  | 'error'
  | 'identity';

/** Who it was. */
export interface Identity {
  sessionId?: string;
  anonymousId?: string;
  userId?: string;
  email?: string;
  extras: Extras;
}

/** An element of a page. */
export interface Element {
  tag: string;
  text: string;
  attributes: [string, string][];
}

/** One thing that happened. */
export interface Event {
  id: string;
  kind: EventKind;
  name: string;
  identity: Identity;
  at?: number;
  title: string;
  description: string;
  url: string;
  pageTitle: string;
  elements: Element[];
  properties: string;
  extras: Extras;
}

/** Two names of one person. */
export interface Merge {
  from: string;
  into: string;
}

/** Events, in the order in which they happened. */
export interface Batch {
  productId?: string;
  events: Event[];
  merges: Merge[];
  extras: Extras;
}

/** Something that isn't in the batches: why, and how often. */
export interface Ignored {
  reason: string;
  count: number;
}

/** What a request brought. */
export interface Received {
  key?: string;
  keyless: boolean;
  batches: Batch[];
  ignored: Ignored[];
  response: Response;
  extras: Extras;
}

/** What was found. */
export interface Page {
  batches: Batch[];
  cursor?: string;
  more: boolean;
  ignored: Ignored[];
  extras: Extras;
}

/** Why a request is refused. */
export type RejectionKind = 'not-found' | 'method' | 'unauthorized' | 'malformed' | 'unavailable';

/** Something that happened; what isn't said of it is empty. `properties` is anything that JSON has. */
export function event(
  kind: EventKind,
  name: string,
  about?: Partial<Omit<Event, 'kind' | 'name' | 'identity' | 'properties'>> & {
    identity?: Partial<Identity>;
    properties?: unknown;
  },
): Event;
/** An answer in JSON. */
export function response(value: unknown, status?: number): Response;
/** What a request brought. A batch without events and merges is left out, and so is what was ignored no time. */
export function received(
  answer: Response,
  what?: {
    events?: Event[];
    merges?: Merge[];
    ignored?: Ignored[];
    productId?: string;
    key?: string;
    keyless?: boolean;
  },
): Received;
/** What was found; nothing, and no more, where nothing is said. */
export function page(what?: Partial<Omit<Page, 'extras'>>): Page;
/** Why a request is refused, to be thrown. The message is for the sender's log, without what people wrote. */
export function rejection(kind: RejectionKind, message: string): { kind: RejectionKind; message: string };
