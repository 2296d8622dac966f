import type { Extras } from './types.js';

/** A request as it came in. */
export interface Request {
  method: string;
  url: string;
  headers: [string, string][];
  body: Uint8Array;
}

/** Why a request is refused. */
export interface Rejection {
  status: number;
  code: string;
  message: string;
}

/** Something that happened in a conversation. */
export interface Turn {
  conversationId: string;
  sessionId?: string;
  externalUserId?: string;
  email?: string;
  productId?: string;
  text?: string;
  extras: Extras;
}

/** What a platform can vouch for. */
export type Identity = 'session-id' | 'external-user-id' | 'email';

/** What is known of a turn. */
export interface About {
  sessionId?: string;
  externalUserId?: string;
  email?: string;
  productId?: string;
  /** What the person wrote. */
  text?: string;
  /**
   * Which fields the platform vouches for: that they are this person's. What isn't named is a claim, which links a
   * conversation only where the operator wants that. Names of fields that aren't set are left out.
   */
  verified?: Identity[];
  /** Who is behind it; a person where it isn't said. Of an agent or a bot leave the person's fields out. */
  author?: 'person' | 'agent' | 'bot';
  /** What happened; a message where it isn't said. */
  happened?: 'message' | 'typing' | 'closed' | 'reopened' | 'reaction';
  /** The id of the quick reply that was clicked. */
  optionId?: string;
  /** What the platform calls the message. */
  messageId?: string;
}

/** How a platform signs. */
export interface Scheme {
  /** The header that has the signature. */
  header: string;
  /** The secret's name, as in `[plugins.NAME.secrets.…]`. The plugin never sees the secret. */
  secret: string;
  /** What stands before the signature, such as `sha256=`. */
  prefix?: string;
  /** Default: `sha256`. */
  hash?: 'sha1' | 'sha256';
  /** Default: `hex`. */
  encoding?: 'hex' | 'base64';
  /** What is signed where that isn't the body alone: see `bytes`. */
  data?: Uint8Array;
}

/**
 * Refuses a request that the platform didn't sign: throws a rejection with 401, or with 503 where the operator set no such
 * secret. Nothing of a request means anything before.
 */
export function verify(request: Request, scheme: Scheme): void;
/** Refuses a time, in seconds since the Unix epoch, that is further than so many seconds (300) from this host's clock. */
export function checkAge(seconds: number | string, limits?: { within?: number; now?: number }): void;
/** Texts and bytes as one: what some platforms sign, such as `bytes(timestamp, '.', request.body)`. */
export function bytes(...parts: (string | Uint8Array)[]): Uint8Array;
/** The value of a header; undefined where it isn't there. Refused with 401 where it is there twice: two readers could see two requests. */
export function singleHeader(request: Request, name: string): string | undefined;
/** As `singleHeader`, of a header that must be there. */
export function requiredHeader(request: Request, name: string): string;
/** The body as a JSON object; refused with 400 where it is none. Read what is needed of it with `values`. */
export function readJson(request: Request): Record<string, unknown>;

/** A turn of a conversation; refused with 400 where no conversation is named. */
export function turn(conversationId: string | undefined, about?: About): Turn;
/** A person opened a conversation. */
export function opened(turn: Turn): { tag: 'opened'; val: Turn };
/** Something happened in a conversation. */
export function replied(turn: Turn): { tag: 'replied'; val: Turn };
/** Genuine, and of no interest. */
export function ignored(): { tag: 'ignored' };
/** The platform checks the address: send this back. */
export function challenge(
  body: string | Uint8Array,
  answer?: { status?: number; contentType?: string },
): { tag: 'challenge'; val: { status: number; contentType: string; body: Uint8Array } };
/** Why a request is refused, to be thrown: a status of 400 to 599, a short code, and a message for the operator. */
export function rejection(status: number, code: string, message: string): Rejection;
