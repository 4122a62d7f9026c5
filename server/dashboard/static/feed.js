// Events as the server sends them. They are read by fetch, which can send a token, as EventSource
// cannot. A stream that ends is opened anew, behind the last event that came.

import { request, Problem } from './api.js';
import { SignedOut } from './session.js';

const MOST = 1000; // events that are kept
const LONGEST = 30000; // ms between attempts

// Kinds that come as fast as work is done: the server makes these only for who asks for them.
const OFTEN = ['task.completed', 'tick.completed', 'nodes.progressed'];
const RATE = 40; // of them a second, which is more than anybody reads: the server counts the others

/** LOGGED is the kind of what plugins write, which has a page of its own. */
export const LOGGED = 'plugin.logged';

/** feed is what came, the newest first, which kinds come, which come once asked for, and whether more can. */
export const feed = { events: [], kinds: [], frequent: [], state: 'connecting', why: '', missed: 0 };

const hearers = new Set();

/** hear calls f with each event, and with null when the state changes, until the signal is aborted. */
export function hear(f, signal) {
  hearers.add(f);
  signal?.addEventListener('abort', () => hearers.delete(f));
}

function tell(event) {
  for (const f of [...hearers]) f(event);
}

let main = null; // the stream of feed

/** ask has a frequent kind come from now on, or no longer. */
export function ask(kind, wanted) {
  feed.kinds = wanted ? [...feed.kinds, kind] : feed.kinds.filter((one) => one !== kind);
  main?.anew();
}

/** enough has no frequent kind come any more: no page shows them. */
export function enough() {
  const rare = feed.kinds.filter((kind) => !OFTEN.includes(kind));
  if (rare.length === feed.kinds.length) return;
  feed.kinds = rare;
  main?.anew();
}

/**
 * follow reads events for as long as the page is open, of the kinds that the server has. Who sees one tenant's
 * tasks alone may have fewer of them.
 */
export function follow(kinds, tenants) {
  feed.kinds = kinds.filter((kind) => kind !== LOGGED && !OFTEN.includes(kind));
  feed.frequent = kinds.filter((kind) => OFTEN.includes(kind));
  main = stream(() => `/v1/events?kinds=${feed.kinds.join()}${feed.kinds.some((kind) => OFTEN.includes(kind)) ? `&rate=${RATE}` : ''}`, {
    fewer() {
      const mine = feed.kinds.filter((kind) => tenants.includes(kind));
      const some = mine.length > 0 && mine.length < feed.kinds.length;
      if (some) feed.kinds = mine;
      return some;
    },
    take(event) {
      if (event.kind === 'stream.gap') feed.missed += event.data.missed ?? 0;
      if (event.data.reason === 'rate') return tell(null);
      feed.events.unshift(event);
      if (feed.events.length > MOST) feed.events.length = MOST;
      tell(event);
    },
    become(state, why) {
      feed.state = state;
      feed.why = why;
      tell(null);
    },
  });
}

const streams = new Set();

/** again has streams that are down be opened at once. */
export function again() {
  for (const one of streams) one.again();
}

/**
 * stream reads events of a path that where() says, all that the server remembers and then as they come,
 * until the signal is aborted: take(event) for each, and become(state, why) when it is open, connecting,
 * closed for now, or none. anew() opens it by another path. Where the server refuses a path, fewer() may know
 * one for less, and says whether it does.
 */
export function stream(where, { take, become, signal, fewer = () => false }) {
  let last = '0'; // all that the server remembers
  let failures = 0;
  let wake = () => {};
  let open = new AbortController();
  const ended = () => signal?.aborted ?? false;
  const one = {
    again() {
      failures = 0;
      wake();
    },
    anew(from = last) {
      last = from;
      open.abort();
      one.again();
    },
  };
  function pause(ms) {
    return new Promise((resolve) => {
      wake = resolve;
      setTimeout(resolve, ms * (0.8 + 0.4 * Math.random()));
    });
  }
  async function attempt(now) {
    try {
      const response = await request(where(), { signal: now, headers: { Accept: 'text/event-stream', 'Last-Event-ID': last } });
      failures = 0;
      become('open', '');
      await read(response.body, (block) => {
        const event = parse(block);
        if (now.aborted) return;
        if (event.id) last = event.id;
        if (event.data && event.kind !== 'stream.begin') take(event);
      });
      return ['closed', 'the stream has ended'];
    } catch (e) {
      if (now.aborted) return ['connecting', ''];
      if (e instanceof Problem && e.status === 403 && fewer()) return ['connecting', ''];
      if (e instanceof Problem && (e.status === 404 || e.status === 403)) return ['none', e.status === 404 ? 'This server sends no events.' : e.message];
      return e instanceof SignedOut ? ['none', 'Nobody is signed in.'] : ['closed', e.message];
    }
  }
  async function go() {
    while (!ended()) {
      // Who looks elsewhere needs none: browsers have six connections for all tabs of a server.
      while (document.hidden && !ended()) await pause(LONGEST);
      if (ended()) return;
      open = new AbortController();
      const [state, why] = await attempt(open.signal);
      if (ended()) return;
      become(state, why);
      if (state !== 'connecting') await pause(state === 'none' ? 2 * LONGEST : Math.min(LONGEST, 500 * 2 ** failures++));
    }
  }
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) open.abort();
    else one.again();
  }, { signal });
  signal?.addEventListener('abort', () => {
    streams.delete(one);
    open.abort();
    wake();
  });
  streams.add(one);
  go();
  return one;
}

async function read(body, take) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split('\n\n');
    rest = blocks.pop();
    for (const block of blocks) take(block);
  }
}

// parse reads one event. Its fields are a line each; the data is one line of JSON.
function parse(block) {
  const fields = { event: '', data: '', id: '' };
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  const event = { kind: fields.event, id: fields.id, time: '', data: null };
  try {
    const content = JSON.parse(fields.data || 'null');
    event.time = content?.time;
    event.data = content && (content.data ?? {});
  } catch {
    // no event of this server
  }
  return event;
}
