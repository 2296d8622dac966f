// Keeps the parts of a page up to date that say so, and leads by the keyboard. Everything works without it.
'use strict';

const parts = new Map();
for (const part of document.querySelectorAll('[data-live]')) parts.set(part.dataset.live, part);

// A part in which somebody is at the moment, by keyboard or pointer, is changed when they have left it.
const put = (part, html) => {
  part.latest = html;
  if (part.waits) return;
  const isInUse = () => part.contains(document.activeElement) || part.matches(':active');
  if (!isInUse()) {
    if (html !== part.shown && html !== part.innerHTML) part.innerHTML = html;
    part.shown = html;
    return;
  }
  part.waits = setInterval(() => {
    if (isInUse()) return;
    clearInterval(part.waits);
    part.waits = 0;
    put(part, part.latest);
  }, 500);
};

if (parts.size > 0) {
  const events = new EventSource('/live');
  const tell = (state) => { document.documentElement.dataset.connection = state; };
  events.addEventListener('open', () => tell('live'));
  events.addEventListener('part', (event) => {
    const { name, html } = JSON.parse(event.data);
    const part = parts.get(name);
    if (part) put(part, html);
  });
  // The login is over: the server leads to its page.
  events.addEventListener('ended', () => { events.close(); location.reload(); });
  events.addEventListener('error', () => {
    tell(events.readyState === EventSource.CLOSED ? 'ended' : 'lost');
  });
  addEventListener('pagehide', () => events.close());
}

let awaited = false;
document.addEventListener('keydown', (event) => {
  const typing = event.target.closest('input, select, textarea');
  if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
  const after = awaited;
  awaited = false;
  if (after) {
    const link = document.querySelector(`[data-go="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
  } else if (event.key === 'g') {
    awaited = true;
    setTimeout(() => { awaited = false; }, 1500);
  } else if (event.key === '/') {
    const find = document.querySelector('[data-find]');
    if (find) { event.preventDefault(); find.focus(); find.select(); }
  } else if (event.key === '?') {
    const keys = document.getElementById('keys');
    if (keys) { keys.open = !keys.open; keys.querySelector('summary').focus(); }
  }
});
