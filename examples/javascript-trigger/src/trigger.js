// A Sidenote plugin that says when to offer help: somebody does the same thing again and again.

import { number, setting } from '@sidenote/plugin/config';
import { isNone } from '@sidenote/plugin/engine';

const TEXT = 'Is something not working? We can help.';

export const trigger = {
  evaluate(context) {
    const clicks = number('clicks', 4);
    const seconds = number('seconds', 10);
    if (!isStuck(context.actions, clicks, seconds)) return undefined;
    const quickReplies = [
      { id: 'yes', label: 'Yes, please' },
      { id: 'no', label: 'No, thanks' },
    ];
    return { text: setting('text') ?? TEXT, quickReplies, extras: [] };
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
