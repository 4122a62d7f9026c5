// What plugins write: to their log, standard output or standard error.

import { empty, h, keyed, put, say } from '../dom.js';
import { hash, instant, number } from '../format.js';
import { live, watch } from '../live.js';
import { LOGGED, stream } from '../feed.js';

const KEPT = 5000; // lines
const MOST = 500; // lines that are shown
const levels = ['debug', 'info', 'warn', 'error'];

export default function logs(body, { path, retitle, signal }) {
  const chosen = path[0] ?? '';
  if (chosen) retitle(`Log of ${chosen}`);
  const page = { lines: [], missed: 0, state: 'connecting', why: '', held: null };
  const plugin = h('select', { id: 'log-plugin', onchange: () => { location.hash = plugin.value ? `#/logs/${encodeURIComponent(plugin.value)}` : '#/logs'; } });
  const least = h('select', { id: 'log-level', onchange: update }, ['debug and above', 'info and above', 'warnings and errors', 'errors'].map((name, i) => h('option', { value: String(i) }, name)));
  const text = h('input', { type: 'search', id: 'log-filter', placeholder: 'a word …', oninput: update });
  const hold = h('button', {
    type: 'button', 'aria-pressed': 'false',
    onclick: () => {
      page.held = page.held ? null : [...page.lines];
      hold.setAttribute('aria-pressed', String(page.held !== null));
      update();
    },
  }, 'Hold still');
  const state = h('span', { role: 'status' }); // is read out; how many are shown is not, each time
  const count = h('span', {});
  const none = h('div', {});
  const list = h('ol', { class: 'log', 'aria-label': 'Lines, the newest first' });
  put(body, h('div', { class: 'card' },
    h('div', { class: 'toolbar' },
      h('div', { class: 'pair' }, h('label', { for: 'log-plugin' }, 'Plugin'), plugin), h('div', { class: 'pair' }, h('label', { for: 'log-level' }, 'Level'), least),
      h('div', { class: 'pair' }, h('label', { for: 'log-filter' }, 'Contains'), text), hold),
    h('p', { class: 'note' }, state, count), none, list));

  stream(() => `/v1/events?kinds=${LOGGED}${chosen ? `&plugin=${encodeURIComponent(chosen)}` : ''}`, {
    signal,
    take(event) {
      if (event.kind === 'stream.gap') {
        page.missed += event.data.missed ?? 0;
        page.lines.unshift({ time: event.time, id: `gap ${event.time}`, data: { gap: true, level: 'warn', stream: '', text: 'lines are missing here', plugin: '' } });
      } else if (event.kind === LOGGED) {
        page.lines.unshift(event);
      }
      if (page.lines.length > KEPT) page.lines.length = KEPT;
      later();
    },
    become(now, why) {
      page.state = now;
      page.why = why;
      later();
    },
  });

  // Lines that come in a burst are drawn together.
  let due = false;
  function later() {
    if (due) return;
    due = true;
    setTimeout(() => {
      due = false;
      if (!signal.aborted) update();
    }, 50);
  }

  function choices() {
    const names = new Set((live.plugins ?? []).map((p) => p.source));
    if (chosen) names.add(chosen);
    keyed(plugin, ['', ...[...names].sort()], (name) => `/${name}`, (name) => h('option', { value: name }, name || 'all'));
    plugin.value = chosen;
  }

  function update() {
    const all = page.held ?? page.lines;
    const wanted = text.value.toLowerCase();
    const from = Number(least.value);
    const shown = all.filter(({ data: d }) => levels.indexOf(d.level) >= from && (!wanted || `${d.plugin} ${d.stream} ${d.text}`.toLowerCase().includes(wanted)));
    keyed(list, shown.slice(0, MOST), (e) => e.id, (e) => row(e, !chosen));
    put(none, shown.length === 0 && nothing(all.length));
    const words = { open: 'Live', connecting: 'Connecting …', closed: 'The stream is down, and is opened again', none: 'No log' };
    say(state, `${words[page.state]}.`);
    say(count, ` ${number(Math.min(MOST, shown.length))} of ${number(all.length)} lines shown.${page.missed ? ` ${number(page.missed)} came too fast and were missed.` : ''}${page.held ? ` Held: ${number(page.lines.filter((e) => !page.held.includes(e)).length)} newer.` : ''}`);
  }

  function nothing(others) {
    if (page.state === 'none') return empty('The log is not to be seen', page.why);
    if (others) return empty('No line is as you ask', 'There are others: choose a lower level, or fewer words.');
    if (page.state !== 'open') return empty('No line yet', 'The page waits for the server.');
    return empty('Nothing is written yet', 'What plugins write to their log, standard output and standard error shows here as it comes. The last words of a task that fails are in its error.');
  }

  watch(choices, signal);
  choices();
  update();
}

function row({ time, data: d }, named) {
  return h('li', { class: `line-of ${d.level}` },
    h('time', { datetime: time }, instant(time)),
    h('span', { class: `badge ${{ error: 'bad', warn: 'warn', info: 'info' }[d.level] ?? ''}` }, d.level),
    h('span', { class: 'quiet' }, named && d.plugin && [h('a', { href: `#/logs/${encodeURIComponent(d.source)}` }, d.plugin), ' '], h('span', { title: d.hash ? `binary ${hash(d.hash)}` : null }, d.stream)),
    h('span', { class: 'said' }, d.dropped > 0 && h('em', {}, `${number(d.dropped)} lines before this one were dropped: the plugin wrote more than it may. `), d.text));
}
