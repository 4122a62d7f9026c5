// Events as the server sends them. They are read by fetch, which can send a token, as EventSource
// cannot. A stream that ends is opened anew, behind the last event that came.

import { request, Problem } from './api.js';
import { SignedOut } from './session.js';

const MOST = 1000; // events that are kept
const LONGEST = 30000; // ms between attempts

// Kinds of events that are rare, and those that come as fast as work is done: the server makes these
// only for who asks for them.
const RARE = ['plugin.changed'];
/** FREQUENT are kinds that come only once they are asked for. */
export const FREQUENT = ['task.completed'];

/** feed is what came, the newest first, which kinds come, and whether more can. */
export const feed = { events: [], kinds: RARE, state: 'connecting', why: '', missed: 0 };

const hearers = new Set();

/** hear calls f with each event, and with null when the state changes, until the signal is aborted. */
export function hear(f, signal) {
  hearers.add(f);
  signal?.addEventListener('abort', () => hearers.delete(f));
}

function tell(event) {
  for (const f of [...hearers]) f(event);
}

function become(state, why = '') {
  feed.state = state;
  feed.why = why;
  tell(null);
}

let last = '0'; // all that the server remembers
let failures = 0;
let wake = () => {};
let stream = new AbortController();

/** ask has a frequent kind come from now on, or no longer. */
export function ask(kind, wanted) {
  feed.kinds = wanted ? [...feed.kinds, kind] : feed.kinds.filter((one) => one !== kind);
  stream.abort();
  again();
}

/** follow reads events for as long as the page is open. */
export async function follow() {
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) stream.abort();
    else again();
  });
  for (;;) {
    // Who looks elsewhere needs none: browsers have six connections for all tabs of a server.
    while (document.hidden) await pause(LONGEST);
    stream = new AbortController();
    const { signal } = stream;
    try {
      const response = await request(`/v1/events?kinds=${feed.kinds.join()}`, { signal, headers: { Accept: 'text/event-stream', 'Last-Event-ID': last } });
      failures = 0;
      become('open');
      await read(response.body);
      become('closed', 'the stream has ended');
    } catch (e) {
      if (signal.aborted) {
        become('connecting');
        continue;
      }
      if (e instanceof Problem && (e.status === 404 || e.status === 403)) {
        become('none', e.status === 404 ? 'This server sends no events.' : e.message);
      } else if (e instanceof SignedOut) {
        become('none', 'Nobody is signed in.');
      } else {
        become('closed', e.message);
      }
    }
    await pause(feed.state === 'none' ? 2 * LONGEST : Math.min(LONGEST, 500 * 2 ** failures++));
  }
}

/** again has a stream that is down be opened at once. */
export function again() {
  failures = 0;
  wake();
}

function pause(ms) {
  return new Promise((resolve) => {
    wake = resolve;
    setTimeout(resolve, ms * (0.8 + 0.4 * Math.random()));
  });
}

async function read(body) {
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

// take reads one event. Its fields are a line each; the data is one line of JSON.
function take(block) {
  const fields = { event: '', data: '', id: '' };
  for (const line of block.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
  }
  if (fields.id) last = fields.id;
  if (!fields.data) return;
  let content;
  try {
    content = JSON.parse(fields.data);
  } catch {
    return; // no event of this server
  }
  const event = { kind: fields.event, id: fields.id, time: content.time, data: content.data ?? {} };
  if (event.kind === 'stream.gap') feed.missed += event.data.missed ?? 0;
  if (event.kind === 'stream.begin') return;
  feed.events.unshift(event);
  if (feed.events.length > MOST) feed.events.length = MOST;
  tell(event);
}
