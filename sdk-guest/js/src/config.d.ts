/** The value of a key; undefined where it isn't set. */
export function setting(key: string): string | undefined;
/** The value of a key that must be set; an empty value counts as not set. Throws a failure where it isn't. */
export function required(key: string): string;
/** Whether a key is `true`; `otherwise` (false) where it isn't set. Throws a failure for anything but `true` and `false`. */
export function flag(key: string, otherwise?: boolean): boolean;
/** The number under a key; `otherwise` where it isn't set. Throws a failure where it is none. */
export function number(key: string, otherwise: number): number;
export function number(key: string): number | undefined;
