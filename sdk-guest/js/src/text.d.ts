/** A text without control characters, of which each but line ends and tabs becomes U+FFFD. The others here do the same. */
export function clean(text: string): string;
/** A text that HTML shows as it is, between tags and in attributes. Line breaks stay line breaks. */
export function escapeHtml(text: string): string;
/**
 * A text of at most so many characters. Where something is cut off, `… [cut]` at the end shows it; a limit that is too small
 * for that gets none. Cut before you escape: the cut could go through an entity.
 */
export function cut(text: string, most: number): string;
/**
 * A text in pieces of at most so many characters, parted at line ends where possible, else at blanks, else anywhere. The
 * line end or the blank between two pieces is left out. There is always a piece.
 */
export function split(text: string, most: number): string[];
