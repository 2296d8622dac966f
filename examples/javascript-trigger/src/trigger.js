// A Sidenote plugin that says when to offer help: somebody does the same thing again and again.

import { get } from 'sidenote:plugin/config@0.1.0';

const TEXT = 'Is something not working? We can help.';

export const trigger = {
  evaluate(context) {
    const clicks = setting('clicks', 4);
    const seconds = setting('seconds', 10);
    if (!isStuck(context.actions, clicks, seconds)) return undefined;
    const quickReplies = [
      { id: 'yes', label: 'Yes, please' },
      { id: 'no', label: 'No, thanks' },
    ];
    return { text: get('text') ?? TEXT, quickReplies, extras: [] };
  },
};

/** Whether the last actions are one and the same, so many of them within so many seconds of each other. */
function isStuck(actions, clicks, seconds) {
  const row = clicks >= 2 ? actions.slice(-clicks) : [];
  const last = row.at(-1);
  if (row.length < clicks || last === undefined) return false;
  const isSame = (it) =>
    it.description === last.description && it.canonicalUrl === last.canonicalUrl;
  const times = row.map((action) => action.startedAt);
  // Without times nobody knows how fast it was.
  if (!row.every(isSame) || times.some(isNone)) return false;
  return Math.max(...times) - Math.min(...times) <= seconds;
}

/** A whole number that the operator set. The host has checked it against the manifest. */
function setting(name, otherwise) {
  const value = get(name);
  return isNone(value) ? otherwise : Number(value);
}

/** What isn't there is undefined on StarlingMonkey and null on QuickJS. */
function isNone(value) {
  return value === undefined || value === null;
}
