// Calls of the server. Who asks for a token gets one: it is kept in sessionStorage, for this tab
// alone and until it is closed, and goes out as a header, so that no other page can use it.

import { askToken } from './session.js';

/** Problem is an answer that is an error: a problem document, or what came instead. */
export class Problem extends Error {
  constructor(status, document) {
    super(document.detail || document.title || `the server answered ${status}`);
    this.status = status;
    this.kind = document.kind ?? '';
    this.field = document.field ?? '';
    this.plugin = document.plugin ?? '';
  }
}

/** Gone is that there was no answer. */
export class Gone extends Error {}

const KEY = 'resonhost-token';

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => sessionStorage.setItem(KEY, text),
  clear: () => sessionStorage.removeItem(KEY),
};

/** url of a path below the server, which may be below a proxy's path. */
export const url = (path) => new URL(`..${path}`, new URL('.', import.meta.url));

/**
 * request answers with a response that is no error. It asks for a token where one is needed. Each of
 * its attempts ends by the signal, or after wait ms: a person may look for a token before the last.
 */
export async function request(path, { method = 'GET', body, headers = {}, signal: given, wait } = {}) {
  for (let asked = false; ; asked = true) {
    const used = token.get();
    const signal = wait ? AbortSignal.timeout(wait) : given;
    let response;
    try {
      response = await fetch(url(path), {
        method, body, signal, credentials: 'omit', cache: 'no-store', redirect: 'error', referrerPolicy: 'no-referrer',
        headers: used ? { ...headers, Authorization: `Bearer ${used}` } : headers,
      });
    } catch (e) {
      if (signal?.aborted && signal.reason?.name !== 'TimeoutError') throw e;
      throw new Gone('the server does not answer');
    }
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (problem.status !== 401) throw problem;
    if (used === token.get()) {
      if (used) token.clear();
      await askToken(used || asked ? 'The server did not take that token.' : '');
    }
  }
}

async function problemOf(response) {
  const text = await response.text().catch(() => '');
  try {
    return new Problem(response.status, JSON.parse(text));
  } catch {
    return new Problem(response.status, { detail: text.slice(0, 500) });
  }
}

/** get answers with JSON. */
export async function get(path, wait = 10000) {
  const response = await request(path, { wait });
  try {
    return await response.json();
  } catch {
    throw new Gone('the answer broke off');
  }
}

/** change does something to a plugin. */
export async function change(plugin, action) {
  const response = await request(`/v1/plugins/${encodeURIComponent(plugin)}/${action}`, { method: 'POST' });
  return response.json();
}

/** run does one task, and answers with its output and how long that took. */
export async function run(transform, body, { type = 'application/json', stream = '', signal } = {}) {
  const headers = { 'Content-Type': type };
  if (stream) headers['Resonhost-Stream'] = stream;
  const began = performance.now();
  const response = await request(`/v1/transforms/${encodeURIComponent(transform)}`, { method: 'POST', body, headers, signal });
  const text = await response.text();
  return { text, type: response.headers.get('Content-Type') ?? '', ms: performance.now() - began };
}
