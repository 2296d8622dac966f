/** A whole number of 64 bits, as the engine's bindings have it: a BigInt on StarlingMonkey, a number on QuickJS. */
export function u64(value: number | bigint): bigint;
/** Whether an optional value isn't there: undefined on StarlingMonkey, null on QuickJS. */
export function isNone(value: unknown): value is undefined | null;
