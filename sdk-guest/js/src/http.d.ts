import type { Response } from './types.js';

export type { Response } from './types.js';

/** A request. What isn't said is as usual: no headers, no body. */
export interface Request {
  /** Default: `POST` where there is a body, else `GET`. */
  method?: string;
  /** The whole address, with `https://`. */
  url: string;
  /** Names and values; the host puts a secret in the place of `secret(NAME)`. */
  headers?: [string, string][];
  /** The body as it is. */
  body?: Uint8Array | string;
  /** A body in JSON, with its content type, in the place of `body`. */
  json?: unknown;
  /** Never for a body that holds text which others wrote: a placeholder in it stays text. Default: false. */
  secretsInBody?: boolean;
  /** How long it may take; the call's deadline holds all the same. */
  timeoutMs?: number;
}

/**
 * One request, one response, whatever its status. Throws a failure where there is none. The host decides about trying
 * again: don't retry.
 */
export function exchange(request: Request): Response;
/** The response where its status is 2xx; throws the failure that it means otherwise. */
export function throwForStatus(response: Response): Response;
/** The placeholder of a secret, for a header's value. */
export function secret(name: string): string;
/** The first value of a header, whatever the case of its name. */
export function header(message: { headers: [string, string][] }, name: string): string | undefined;
/** Whether the body was larger than the plugin's `max_response` and ends there. The platform has the request all the same. */
export function isTruncated(response: Response): boolean;
/** A text as one segment of a path, or as a name or value of a query. Use it for every id that goes into an address. */
export function encode(text: string): string;
