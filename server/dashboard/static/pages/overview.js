// What the host does now, and in the last minutes.

import { card, empty, h, put, renew, say, table } from '../dom.js';
import { bytes, number, percent, plural, rate, seconds } from '../format.js';
import { heat, lines, spark } from '../charts.js';
import { lately, live, quantile, watch, WINDOW } from '../live.js';

const RECENT = 10000; // ms that "now" is
const COLUMN = 5000; // ms of a column of the heat map

export default function overview(body, { signal }) {
  const tiles = tileRow(['Throughput', 'Failures', 'Latency p95', 'Workers busy', 'Waiting', 'Memory']);
  const attention = h('div', { class: 'attention' });
  const idle = h('div', {});
  const throughput = lines({ label: 'Tasks per second by transform, of late', unit: number, least: 1, named: true });
  const busy = lines({ label: 'Share of the workers that are busy, of late', unit: percent, least: 1, height: 150 });
  const latency = heat({ label: 'Latency of tasks, of late' });
  const queues = h('div', { class: 'steady' });
  const lag = h('div', { class: 'steady' });
  put(body, attention, tiles.el, idle,
    card('Throughput', 'Tasks that ended, a second', throughput.el),
    h('div', { class: 'two' },
      card('Latency', 'The stronger the colour, the more tasks; from submission to end', latency.el),
      card('Utilisation', 'Workers that run a task', busy.el)),
    h('div', { class: 'two' },
      card('Queues', 'Tasks that wait, by transform and tenant', queues),
      card('Lag', 'Time that tasks waited for a worker, and took in all, in the last minute', lag)));

  function update() {
    const stats = live.stats;
    body.hidden = !stats; // or all of it would jump when its figures come
    if (!stats) return;
    renew(attention, notices());
    figures(tiles, stats);
    const ran = stats.plugins.some((p) => p.transforms.some((t) => t.ok > 0));
    renew(idle, !ran && empty('No task has run yet', 'Run one under ', h('a', { href: '#/transforms' }, 'Transforms'), ', or over HTTP: POST /v1/transforms/{name}.'));
    const now = Date.now();
    const from = Math.max(now - WINDOW, Math.min(now - 60000, live.samples[0]?.at ?? now)); // no more than there is
    const late = [...new Set(live.samples.flatMap((one) => [...one.transforms].filter(([, t]) => t.ok + t.failed > 0).map(([name]) => name)))].sort();
    const ever = stats.plugins.flatMap((p) => p.transforms.filter((t) => t.ok > 0).map((t) => t.name)).sort();
    const names = late.length ? late : ever; // whose legend is as tall before there are samples
    throughput.update((names.length ? names : ['all']).slice(0, 6).map((name) => ({
      name, points: points((one) => { const t = one.transforms.get(name); return t ? (t.ok + t.failed) / one.took : 0; }),
    })), [from, now]);
    busy.update([{ name: 'busy', points: points((one) => Math.min(1, one.busy)) }], [from, now]);
    heatmap(latency, stats.bounds_seconds, from, now);
    renew(queues, queueTable(stats));
    renew(lag, lagTable(stats));
  }
  watch((what) => what !== 'plugins' || live.stats ? update() : undefined, signal);
  update();
}

function tileRow(names) {
  const tiles = names.map((name) => ({ value: h('dd', { class: 'figure' }, '–'), note: h('dd', { class: 'note' }), spark: h('dd', { class: 'spark-box', 'aria-hidden': 'true' }), name }));
  const el = h('div', { class: 'tiles' }, tiles.map((t) => h('dl', { class: 'tile' }, h('dt', {}, t.name), t.value, t.note, t.spark)));
  return { el, warn(i, so) { tiles[i].value.classList.toggle('alarm', so); }, set(i, value, note, values) { say(tiles[i].value, value); say(tiles[i].note, note); put(tiles[i].spark, values && values.length > 1 && spark(values)); } };
}

function figures(tiles, stats) {
  const recent = lately(RECENT);
  const samples = live.samples.slice(-60);
  const total = (one, what) => [...one.transforms.values()].reduce((sum, t) => sum + what(t), 0) / one.took;
  tiles.set(0, recent.took ? rate((recent.ok + recent.failed) / recent.took) : '–', 'tasks, last 10 s', samples.map((one) => total(one, (t) => t.ok + t.failed)));
  tiles.warn(1, recent.failed > 0);
  tiles.set(1, recent.took ? rate(recent.failed / recent.took) : '–', recent.failed ? `${percent(recent.failed / (recent.ok + recent.failed))} of tasks` : 'none lately', samples.map((one) => total(one, (t) => t.failed)));
  const p = (q) => quantile(recent.latency, stats.bounds_seconds, q);
  tiles.set(2, bound(p(0.95), stats), Number.isNaN(p(0.5)) ? 'no task lately' : `p50 ${bound(p(0.5), stats)}`);
  tiles.set(3, `${stats.active} of ${stats.workers}`, live.samples.length ? `${percent(Math.min(1, live.samples.at(-1).busy))} of the time` : '', samples.map((one) => one.busy));
  tiles.set(4, number(stats.queue_depth), stats.blocked ? `${plural(stats.blocked, 'caller')} blocked` : 'no caller blocked', samples.map((one) => one.queue));
  tiles.set(5, bytes(stats.memory_bytes), `of ${bytes(stats.memory_budget_bytes)}`, samples.map((one) => one.memory));
}

// bound says a quantile, which is known by its bucket: no more than its bound.
function bound(v, stats) {
  if (Number.isNaN(v)) return '–';
  return v === Infinity ? `> ${seconds(stats.bounds_seconds.at(-1))}` : `≤ ${seconds(v)}`;
}

// points makes a line of the samples, with a gap where there were none for a while.
function points(value) {
  const list = [];
  for (const one of live.samples) {
    const before = list.at(-1);
    if (before && one.at - before.at > 10000) list.push({ at: one.at - 1, value: null });
    list.push({ at: one.at, value: value(one) });
  }
  return list;
}

function heatmap(chart, bounds, from, now) {
  const first = Math.floor(from / COLUMN);
  const columns = Array.from({ length: Math.floor(now / COLUMN) - first + 1 }, (_, i) => ({ at: (first + i) * COLUMN, counts: null }));
  for (const one of live.samples) {
    const column = columns[Math.floor(one.at / COLUMN) - first];
    if (!column) continue;
    column.counts ??= [];
    for (const t of one.transforms.values()) t.latency.forEach((n, i) => { column.counts[i] = (column.counts[i] ?? 0) + n; });
  }
  const used = columns.flatMap((c) => (c.counts ?? []).flatMap((n, i) => (n ? [i] : [])));
  const low = Math.max(0, Math.min(...used, 6) - 1);
  const high = Math.min(bounds.length, Math.max(...used, low + 6) + 1);
  for (const c of columns) c.counts = c.counts?.slice(low, high + 1) ?? null;
  const names = Array.from({ length: high - low + 1 }, (_, i) => (low + i < bounds.length ? `≤ ${seconds(bounds[low + i])}` : `> ${seconds(bounds.at(-1))}`));
  const all = lately(WINDOW).latency;
  const q = (part) => seconds(quantile(all, bounds, part));
  chart.update(columns, names, used.length ? `Half of the tasks took at most ${q(0.5)}, 95 % at most ${q(0.95)}.` : 'No task has ended.');
}

function queueTable(stats) {
  if (stats.queues.length === 0) return empty('Nothing waits', 'Every task finds a worker at once.');
  return table('Tasks that wait', ['Transform', 'Tenant', 'Priority', 'Waiting'], stats.queues.slice(0, 12).map((q) => [q.transform, q.shared ? 'several, in one queue' : q.tenant || 'none', q.priority, number(q.tasks)]), [0, 1, 2]);
}

function lagTable(stats) {
  const rows = stats.plugins.flatMap((p) => p.transforms).map((t) => {
    const recent = lately(60000, t.name);
    const q = (counts, part) => bound(quantile(counts, stats.bounds_seconds, part), stats);
    return recent.latency.some((n) => n > 0) && [h('a', { href: `#/transforms/${encodeURIComponent(t.name)}` }, t.name), q(recent.wait, 0.5), q(recent.wait, 0.95), q(recent.latency, 0.5), q(recent.latency, 0.95)];
  }).filter(Boolean);
  if (rows.length === 0) return empty('No task in the last minute');
  return table('Wait and latency in the last minute', ['Transform', 'Wait p50', 'p95', 'In all p50', 'p95'], rows);
}

// FEW is how many notices of a kind there may be: more are one, which counts.
const FEW = 3;

// notices say what an operator should look at.
function notices() {
  const list = [];
  const many = (of, level, text) => {
    const found = (live.plugins ?? []).filter(of);
    if (found.length > FEW) list.push({ level, text: text(number(found.length)) });
    return found.length > FEW;
  };
  const refused = many((p) => p.failure, (live.plugins ?? []).some((p) => p.failure && !p.name) ? 'bad' : 'warn', (n) => `The newest versions of ${n} plugins do not serve.`);
  const paused = many((p) => p.paused, 'warn', (n) => `${n} plugins are paused.`);
  const suspended = many((p) => p.suspended, 'bad', (n) => `${n} plugins are suspended: their tasks failed in a row.`);
  for (const p of live.plugins ?? []) {
    const name = p.name || p.source;
    if (p.failure && !refused) list.push({ level: p.name ? 'warn' : 'bad', text: `The newest version of ${name} does not serve: it failed at ${p.failure.step}.${p.name ? ` Version ${p.version} goes on.` : ''}` });
    if (p.paused && !paused) list.push({ level: 'warn', text: `${name} is paused.` });
    if (p.suspended && !suspended) list.push({ level: 'bad', text: `${name} is suspended: its tasks failed in a row.` });
    if (p.mismatch) list.push({ level: 'bad', text: `The interpreter answers a task of ${name} differently.` });
  }
  if (live.plugins?.length === 0) list.push({ level: 'warn', text: 'No plugin is loaded yet.' });
  return list.map((n) => h('p', { class: `notice ${n.level}` }, n.text, ' ', h('a', { href: '#/plugins' }, 'Plugins')));
}
