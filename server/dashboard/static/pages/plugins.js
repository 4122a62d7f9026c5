// The plugins: what serves, what was refused and why, and what an operator can have them do.

import { empty, h, keyed, put } from '../dom.js';
import { hash, moment, number, percent, plural } from '../format.js';
import { change } from '../api.js';
import { refused, why as missing } from '../rights.js';
import { sure } from '../session.js';
import { live, refresh, watch } from '../live.js';
import { feed, hear } from '../feed.js';

const opened = new Map(); // by source, whether somebody wants to see the history
const outcomes = new Map(); // by source, what the last button did; it outlives the page

export default function plugins(body, { signal }) {
  const list = h('div', { class: 'cards' });
  const none = h('div', {});
  put(body, none, list);
  function update() {
    if (!live.plugins) return;
    put(none, live.plugins.length === 0 && empty('No plugin is loaded', 'A .wasm file in the plugin directory is checked, and serves if it can.'));
    keyed(list, live.plugins.map((plugin) => ({ plugin, history: historyOf(plugin), outcome: outcomes.get(plugin.source), denied: missing('admin') })), (one) => one.plugin.source, card);
  }
  watch(update, signal);
  hear(update, signal);
  update();

  function card({ plugin: p, history, outcome, denied }) {
    const name = p.name || p.source;
    const said = h('p', { class: `outcome ${outcome?.ok === false ? 'bad' : ''}`, role: 'status' }, outcome?.text);
    return h('article', { class: 'card plugin', 'aria-labelledby': `plugin-${p.source}` },
      h('header', { class: 'plugin-head' },
        h('h2', { id: `plugin-${p.source}` }, name), p.version && h('span', { class: 'version' }, p.version), p.kind && h('span', { class: 'tag' }, p.kind), badges(p)),
      facts(p), refusal(p), trial(p),
      p.transforms.length > 0 && h('ul', { class: 'chips', 'aria-label': `Transforms of ${name}` }, p.transforms.map((t) => h('li', {}, h('a', { href: `#/transforms/${encodeURIComponent(t.name)}`, 'data-focus': `to ${t.name}` }, t.name)))),
      h('div', { class: 'row' }, buttons(p).map((b) => button(p, b, denied)), h('a', { class: 'beside', 'data-focus': 'log', href: `#/logs/${encodeURIComponent(p.source)}`, 'aria-label': `Log of ${name}` }, 'Log')), said,
      h('details', { class: 'data', open: opened.get(p.source) ?? (history.length > 0 && history.length < 6) }, h('summary', { 'data-focus': 'history', onclick: (e) => opened.set(p.source, !e.currentTarget.parentElement.open) }, `History (${number(history.length)})`), timeline(history)));
  }

  function button(p, { action, label, why, ask }, denied) {
    return h('button', {
      type: 'button', 'data-focus': action, 'aria-disabled': why || denied ? 'true' : null, title: denied || why || null,
      onclick: async () => {
        if (why || denied) {
          outcome(p, false, denied || why);
          return;
        }
        if (ask && !(await sure(ask.title, ask.text, label))) return;
        await act(p, action, label);
      },
    }, label);
  }

  async function act(p, action, label) {
    outcome(p, true, `${label} …`);
    try {
      const answer = await change(p.source, action);
      outcome(p, !['failed', 'rolled_back'].includes(answer.result), said(action, answer));
    } catch (e) {
      if (e.status === 403) refused('admin');
      outcome(p, false, e.message);
    }
    await refresh();
  }

  function outcome(p, ok, text) {
    outcomes.set(p.source, { ok, text });
    update();
  }
}

const words = {
  loaded: 'is loaded', swapped: 'was replaced by a new version', unchanged: 'is unchanged: the file is what serves', canary: 'has a new version on trial',
  promoted: 'serves by its new version alone', rolled_back: 'was rolled back', failed: 'was refused', unloaded: 'is unloaded',
};

function said(action, { result, plugin }) {
  const name = plugin?.name || plugin?.source || 'The plugin';
  if (result) return `${name} ${words[result] ?? result}.`;
  return `${name} ${{ rollback: 'was rolled back', promote: words.promoted, pause: 'is paused', resume: 'takes tasks again' }[action]}.`;
}

function buttons(p) {
  const name = p.name || p.source;
  const serves = p.hash ? '' : 'Nothing serves under this name.';
  return [
    { action: 'reload', label: 'Reload' },
    {
      action: 'rollback', label: 'Roll back', why: serves || (p.canary || p.previous ? '' : 'There is no version before this one.'),
      ask: { title: `Roll ${name} back?`, text: p.canary ? `Version ${p.canary.version} is given up, and ${p.version} does all tasks.` : 'The version before serves, until the file changes.' },
    },
    { action: 'promote', label: 'Promote', why: p.canary ? '' : 'No version is on trial.' },
    p.paused
      ? { action: 'resume', label: 'Resume' }
      : { action: 'pause', label: 'Pause', why: serves, ask: { title: `Pause ${name}?`, text: 'Its tasks are refused until it is resumed.' } },
  ];
}

function badges(p) {
  const list = [];
  if (p.paused) list.push(['warn', 'paused']);
  if (p.suspended) list.push(['bad', 'suspended']);
  if (p.canary) list.push(['info', 'canary']);
  if (p.deploying) list.push(['info', 'loading']);
  if (p.failure) list.push(['bad', p.hash ? 'newest refused' : 'refused']);
  if (p.hash && !p.paused && !p.suspended) list.unshift(['ok', 'serving']);
  return h('span', { class: 'badges' }, list.map(([level, text]) => h('span', { class: `badge ${level}` }, text)));
}

function facts(p) {
  const list = [['File', `${p.source}.wasm`]];
  if (p.hash) list.push(['Hash', h('code', { title: p.hash }, hash(p.hash))], ['Serves since', `${moment(p.since)}, ${(p.by ?? '').replace('_', ' ')}`]);
  if (p.previous) list.push(['Version before', h('code', { title: p.previous }, hash(p.previous))]);
  return h('dl', { class: 'facts' }, list.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))));
}

function refusal(p) {
  if (!p.failure) return null;
  const back = p.failure.step === 'rollback'; // somebody, or a canary's judge, wanted that
  const now = p.hash ? `Version ${p.version} ${p.paused ? 'is paused' : 'serves'}.` : 'Nothing serves under this name.';
  return h('div', { class: back ? 'callout' : 'callout bad' },
    h('p', {}, h('strong', {}, back ? 'Rolled back' : `Refused at ${p.failure.step}`), `, ${moment(p.failure.time)}`, p.failure.hash && [', ', h('code', {}, hash(p.failure.hash))]),
    h('p', { class: 'reason' }, p.failure.error),
    h('p', { class: 'note' }, `${now} ${back ? 'Reload tries the newer one again.' : 'Mend the file: it is checked again as soon as it changes.'}`));
}

function trial(p) {
  if (!p.canary) return null;
  const c = p.canary;
  return h('div', { class: 'callout info' },
    h('p', {}, h('strong', {}, `Version ${c.version} is on trial`), `, since ${moment(c.since)}, with ${percent(c.share)} of the tasks`),
    h('p', {}, `${plural(c.tasks, 'task')} so far, ${number(c.failed)} failed.`));
}

function historyOf(p) {
  return feed.events.filter((e) => e.kind === 'plugin.changed' && (e.data.plugin === p.name || e.data.plugin === p.source)).slice(0, 20).map(({ time, data }) => ({ time, ...data }));
}

const levels = { refused: 'bad', mismatch: 'bad', suspended: 'bad', 'rolled back': 'warn', paused: 'warn', unloaded: 'warn', closed: 'warn', canary: 'info' };

function timeline(history) {
  if (history.length === 0) return h('p', { class: 'note' }, feed.state === 'none' ? feed.why : 'Nothing has happened to it since the server remembers.');
  return h('ol', { class: 'timeline' }, history.map((e) => h('li', {},
    h('time', { datetime: e.time }, moment(e.time)), ' ', h('span', { class: `badge ${levels[e.change] ?? 'ok'}` }, e.change), ' ',
    e.version && h('span', { class: 'version' }, e.version), ' ', e.hash && h('code', { title: e.hash }, hash(e.hash)),
    e.detail && h('p', { class: 'reason' }, e.detail))));
}
