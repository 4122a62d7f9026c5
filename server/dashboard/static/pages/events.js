// What happens, as the server tells it.

import { empty, h, keyed, put, say } from '../dom.js';
import { moment, number, seconds } from '../format.js';
import { ask, enough, feed, hear } from '../feed.js';

const MOST = 200; // events that are shown

export default function events(body, { signal }) {
  const off = new Set(); // kinds that are not shown
  let held = null; // the events that are shown while the list stands still
  const state = h('span', { role: 'status' }); // is read out; how many are shown is not, each time
  const count = h('span', {});
  const kinds = h('div', { class: 'checks' });
  const text = h('input', { type: 'search', id: 'filter', placeholder: 'a plugin, a reason …', oninput: update });
  const hold = h('button', {
    type: 'button', 'aria-pressed': 'false',
    onclick: () => {
      held = held ? null : [...feed.events];
      hold.setAttribute('aria-pressed', String(held !== null));
      update();
    },
  }, 'Hold still');
  const list = h('ol', { class: 'events', 'aria-label': 'Events, the newest first' });
  const none = h('div', {});
  put(body,
    h('div', { class: 'card' },
      h('div', { class: 'toolbar' }, h('label', { for: 'filter' }, 'Contains'), text, hold),
      h('fieldset', { class: 'plain' }, h('legend', { class: 'quiet' }, 'Kinds'), kinds), h('p', { class: 'note' }, state, count), none, list));

  function update() {
    const all = held ?? feed.events;
    const often = (kind) => feed.frequent.includes(kind);
    const there = [...new Set([...feed.events.map((e) => e.kind), ...feed.frequent])].sort((a, b) => often(a) - often(b) || a.localeCompare(b));
    keyed(kinds, there, (kind) => kind, choice);
    const wanted = text.value.toLowerCase();
    const shown = all.filter((e) => !off.has(e.kind) && (!wanted || JSON.stringify(e).toLowerCase().includes(wanted)));
    keyed(list, shown.slice(0, MOST), (e) => `${e.id} ${e.kind} ${e.time}`, row);
    put(none, shown.length === 0 && (feed.state === 'none' ? empty('No events', feed.why) : empty(all.length ? 'No event is as you ask' : 'Nothing has happened yet', all.length ? 'There are others: choose more kinds, or fewer words.' : 'Plugins that change, jobs and networks show here as it happens.')));
    say(state, `${{ open: 'Live', connecting: 'Connecting …', closed: 'The stream is down, and is opened again', none: 'No stream' }[feed.state]}.`);
    say(count, ` ${number(Math.min(MOST, shown.length))} of ${number(all.length)} shown.${feed.missed ? ` ${number(feed.missed)} came too fast to be shown.` : ''}${held ? ` Held: ${number(feed.events.filter((e) => !held.includes(e)).length)} newer.` : ''}`);
  }
  function choice(kind) {
    const frequent = feed.frequent.includes(kind);
    return h('label', { class: 'check' }, h('input', {
      type: 'checkbox', checked: !off.has(kind) && (!frequent || feed.kinds.includes(kind)), 'data-focus': kind,
      onchange: (e) => {
        e.target.checked ? off.delete(kind) : off.add(kind);
        if (frequent) ask(kind, e.target.checked);
        update();
      },
    }), kind, frequent && h('span', { class: 'quiet' }, 'while shown'));
  }
  hear(update, signal);
  signal.addEventListener('abort', enough);
  update();
}

function row(e) {
  return h('li', { class: 'event' },
    h('time', { datetime: e.time }, moment(e.time)), h('span', { class: `tag ${level(e)}` }, e.kind), h('span', { class: 'event-text' }, sentence(e)),
    h('details', { class: 'data' }, h('summary', {}, 'All of it'), h('pre', { tabindex: '0' }, JSON.stringify(e.data, null, 2))));
}

// level is how much an event is to stand out.
function level({ kind, data: d }) {
  if (kind === 'stream.gap' || kind === 'stream.end') return 'warn';
  if (d.kind || ['refused', 'mismatch', 'suspended'].includes(d.change)) return 'bad';
  return ['rolled back', 'paused', 'unloaded'].includes(d.change) ? 'warn' : '';
}

// sentence says what is likely to be looked for, of whatever members there are.
function sentence({ kind, data: d }) {
  if (kind === 'plugin.changed') return `${d.plugin} ${d.version ?? ''} ${d.change}${d.detail ? `: ${d.detail}` : ''}`;
  const parts = [];
  for (const [name, value] of Object.entries(d)) {
    if (value === null || typeof value === 'object') continue;
    parts.push(name.endsWith('_ns') ? `${name.slice(0, -3)} ${seconds(value / 1e9)}` : `${name} ${String(value).slice(0, 120)}`);
  }
  return parts.slice(0, 5).join(', ');
}
