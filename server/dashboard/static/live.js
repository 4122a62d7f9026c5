// What the server does, followed: figures are asked for every two seconds, plugins when something
// may have changed, and all of it says since when it is no longer so.

import { get, Gone, Problem } from './api.js';
import { SignedOut } from './session.js';

const EVERY = 2000; // ms between figures
const LONGEST = 30000; // ms between attempts while there is no answer
/** WINDOW is how far back samples go, in ms. */
export const WINDOW = 5 * 60 * 1000;

/** live is what is known. Pages read it, and hear of changes by watch. */
export const live = {
  stats: null, // the newest figures
  plugins: null, // the newest list
  samples: [], // what happened between figures, the oldest first
  denied: '', // why figures are not to be had, though the server answers
  signedOut: false,
  // A server that does not answer: since when, and when it is asked again. null while it does.
  gone: null,
  answered: 0, // when it did last
};

const watchers = new Set();

/** watch calls f whenever something changes, until the signal is aborted. */
export function watch(f, signal) {
  watchers.add(f);
  signal?.addEventListener('abort', () => watchers.delete(f));
}

/** changed tells all. The fault of one view keeps neither the others nor the next look from going on. */
export function changed(what) {
  for (const f of [...watchers]) {
    try {
      f(what);
    } catch (e) {
      reportError(e);
    }
  }
}

let timer = 0;
let failures = 0;
let asking = false;
let pluginsAt = 0;

/** now asks at once, and begins again with short pauses. */
export function now() {
  failures = Math.min(failures, 1);
  live.signedOut = false;
  clearTimeout(timer);
  ask();
}

async function ask() {
  if (asking) return;
  asking = true;
  try {
    const stats = await get('/v1/stats');
    follow(stats);
    if (stale() || Date.now() - pluginsAt > 10000) await askPlugins();
    back();
  } catch (e) {
    lost(e);
  } finally {
    asking = false;
  }
  schedule();
}

// Without samples of its counters for as long, a restart would go unnoticed in the list.
const stale = () => live.plugins === null || live.gone !== null;

function schedule() {
  clearTimeout(timer);
  if (live.signedOut) return;
  const pause = live.gone ? live.gone.next - Date.now() : EVERY;
  // While nobody looks there is none: who looks again asks at once.
  timer = setTimeout(() => { if (!document.hidden) ask(); }, Math.max(0, pause));
}

function back() {
  failures = 0;
  const was = live.gone !== null;
  live.gone = null;
  live.denied = '';
  live.signedOut = false;
  live.answered = Date.now();
  changed(was ? 'back' : 'stats');
}

function lost(e) {
  if (e instanceof SignedOut) {
    live.signedOut = true;
  } else if (e instanceof Problem && e.status !== 502 && e.status !== 503 && e.status !== 504) {
    live.denied = e.message;
    live.gone = null;
    live.answered = Date.now();
  } else {
    // Whatever it is, such as an answer that is not this server's, it is asked again.
    if (!(e instanceof Gone || e instanceof Problem)) reportError(e);
    const pause = Math.min(LONGEST, 1000 * 2 ** failures++);
    live.gone = { since: live.gone?.since ?? (live.answered || Date.now()), next: Date.now() + pause * (0.8 + 0.4 * Math.random()), why: e.message };
  }
  changed('lost');
}

/** askPlugins reads the list anew. */
export async function askPlugins() {
  const list = await get('/v1/plugins');
  pluginsAt = Date.now();
  live.plugins = list.plugins;
  changed('plugins');
}

/** refresh is askPlugins of what need not be told of a failure: the figures' turn will be. */
export const refresh = () => askPlugins().catch(() => {});

/** transforms lists all transforms with their plugins. */
export const transforms = () => (live.plugins ?? []).flatMap((plugin) => plugin.transforms.map((t) => ({ ...t, plugin })));

// follow makes a sample of two figures in a row. Where the process is another, counters began anew.
function follow(stats) {
  const before = live.stats;
  live.stats = stats;
  const at = Date.now();
  const took = before ? (new Date(stats.time) - new Date(before.time)) / 1000 : 0;
  if (!before || before.started !== stats.started || took <= 0 || took > 60) return;
  const sample = {
    at, took, queue: stats.queue_depth, memory: stats.memory_bytes,
    busy: (stats.busy_seconds - before.busy_seconds) / took / stats.workers,
    transforms: new Map(),
  };
  const old = new Map(before.plugins.flatMap((p) => p.transforms.map((t) => [t.name, t])));
  for (const plugin of stats.plugins) {
    for (const t of plugin.transforms) {
      const then = old.get(t.name);
      if (then) sample.transforms.set(t.name, difference(t, then));
    }
  }
  live.samples.push(sample);
  while (live.samples.length > 0 && live.samples[0].at < at - WINDOW) live.samples.shift();
}

function difference(t, then) {
  const less = (a, b) => Math.max(0, a - b); // a plugin that came anew counts from 0
  const counts = (a, b) => a.counts.map((n, i) => less(n, b.counts[i] ?? 0));
  const failed = Object.entries(t.errors).reduce((sum, [kind, n]) => sum + less(n, then.errors[kind] ?? 0), 0);
  return { ok: less(t.ok, then.ok), failed, latency: counts(t.latency, then.latency), wait: counts(t.wait, then.wait), run: counts(t.run, then.run) };
}

/** lately sums the samples of the last so many ms, of one transform or of all. */
export function lately(ms, name) {
  const from = Date.now() - ms;
  const sum = { took: 0, ok: 0, failed: 0, latency: [], wait: [], run: [] };
  for (const sample of live.samples) {
    if (sample.at <= from) continue;
    sum.took += sample.took;
    for (const [of, t] of sample.transforms) {
      if (name && of !== name) continue;
      sum.ok += t.ok;
      sum.failed += t.failed;
      for (const kind of ['latency', 'wait', 'run']) t[kind].forEach((n, i) => { sum[kind][i] = (sum[kind][i] ?? 0) + n; });
    }
  }
  return sum;
}

/** quantile of counts in buckets: the upper bound of the bucket that it falls into, NaN of none. */
export function quantile(counts, bounds, q) {
  const all = counts.reduce((a, b) => a + b, 0);
  if (all === 0) return NaN;
  let seen = 0;
  for (let i = 0; i < counts.length; i++) {
    seen += counts[i];
    if (seen >= q * all) return bounds[i] ?? Infinity;
  }
  return NaN;
}

/**
 * poll calls f at once and every so many ms while somebody looks, until the signal is aborted. It
 * returns a function that calls f at once.
 */
export function poll(f, every, signal) {
  let next = 0;
  let running = null;
  const call = () => {
    clearTimeout(next);
    running ??= Promise.resolve(document.hidden ? null : f()).finally(() => {
      running = null;
      if (!signal.aborted) next = setTimeout(call, every);
    });
    return running;
  };
  signal.addEventListener('abort', () => clearTimeout(next));
  call();
  return async () => {
    await running; // which may have begun before what is to be seen now
    return call();
  };
}

/** start begins. */
export function start() {
  document.addEventListener('visibilitychange', () => { if (!document.hidden) now(); });
  addEventListener('online', now);
  ask();
}
