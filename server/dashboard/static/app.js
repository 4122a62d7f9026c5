// The dashboard: pages by the part of the address behind #, and what all of them have around them.

import * as kit from './kit.js';
import { empty, h, icon, put, say } from './dom.js';
import { clock, span } from './format.js';
import { token, url } from './api.js';
import { live, now, refresh, start, watch } from './live.js';
import { again, feed, follow, hear } from './feed.js';
import { offer } from './session.js';
import overview from './pages/overview.js';
import plugins from './pages/plugins.js';
import transforms, { extend } from './pages/transforms.js';
import jobs from './pages/jobs.js';
import events from './pages/events.js';
import logs from './pages/logs.js';
import fleet, { there } from './pages/fleet.js';

const pages = [
  { id: '', title: 'Overview', icon: 'overview', mount: overview },
  { id: 'plugins', title: 'Plugins', icon: 'plugins', mount: plugins },
  { id: 'transforms', title: 'Transforms', icon: 'transforms', mount: transforms },
  { id: 'jobs', title: 'Jobs', icon: 'jobs', mount: jobs },
  { id: 'events', title: 'Events', icon: 'events', mount: events },
  { id: 'logs', title: 'Logs', icon: 'logs', mount: logs },
  { id: 'fleet', title: 'Fleet', icon: 'fleet', mount: fleet, there }, // the last, so that none moves when it comes
];

const main = document.getElementById('main');
const nav = document.getElementById('nav');
const banner = document.getElementById('banner');
const foot = document.getElementById('foot');
let shown = null; // the AbortController of the page that is shown
let absent = false; // whether its module could not be loaded
let tries = 0; // to load such modules anew, of which a browser may keep the failure

// route shows the page that the address names.
function route() {
  const [id, ...rest] = location.hash.replace(/^#\/?/, '').split('/');
  const page = pages.find((one) => one.id === id) ?? pages.find((one) => one.id && `${one.id}s` === id) ?? pages[0]; // the API says networks
  const first = shown === null;
  shown?.abort();
  absent = false;
  shown = new AbortController();
  const title = h('h1', { tabindex: '-1' }, page.title);
  const body = h('div', { class: `page page-${page.id || 'overview'}` });
  put(main, title, body);
  const retitle = (text) => {
    say(title, text);
    document.title = `${text} · resonhost`;
  };
  retitle(page.title);
  page.mount(body, { path: rest.map(decode), retitle, signal: shown.signal });
  for (const link of nav.querySelectorAll('a')) {
    if (link.dataset.page === page.id) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  scrollTo(0, 0);
  if (!first) title.focus({ preventScroll: true });
}

function decode(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function navigation() {
  put(nav, pages.map((page) => h('li', { hidden: page.there && !page.there() }, h('a', { href: `#/${page.id}`, 'data-page': page.id }, icon(page.icon), h('span', {}, page.title)))));
}

const dot = h('span', { class: 'dot', 'aria-hidden': 'true' });
const state = h('span', {});
const uptime = h('span', { class: 'quiet uptime' });
const signOut = h('button', { type: 'button', class: 'link', hidden: true, onclick: () => { token.clear(); location.reload(); } }, 'Sign out');
const wait = h('span', { 'aria-hidden': 'true' });

// status says whether what is shown is so. The seconds that pass are not read out each time.
function status() {
  const mood = live.signedOut || live.denied ? 'warn' : live.gone ? 'bad' : live.stats ? (live.stats.draining ? 'warn' : 'ok') : 'idle';
  dot.className = `dot ${mood}`;
  say(state, live.signedOut ? 'Not signed in' : live.gone ? 'No answer' : live.denied ? 'No access' : !live.stats ? 'Connecting' : live.stats.draining ? 'Draining' : 'Live');
  say(uptime, live.stats && !live.gone ? `up ${span(new Date(live.stats.time) - new Date(live.stats.started))}` : '');
  for (const link of nav.querySelectorAll('a[data-page="fleet"]')) link.parentElement.hidden = !there();
  signOut.hidden = token.get() === null;
  document.body.classList.toggle('stale', live.gone !== null || live.signedOut);
  const kind = live.signedOut ? 'out' : live.gone ? 'gone' : live.denied ? 'denied' : '';
  if (banner.dataset.kind !== kind) {
    banner.dataset.kind = kind;
    put(banner, kind === 'out' && [h('p', {}, 'This server asks who calls. Nothing is shown until you sign in.'), h('button', { type: 'button', onclick: retry }, 'Sign in')],
      kind === 'gone' && [h('p', {}, h('strong', {}, `No answer from the server since ${clock(live.gone.since)}.`), ' What is shown in grey is from before. ', wait), h('button', { type: 'button', onclick: retry }, 'Try now')],
      kind === 'denied' && [h('p', {}, 'The server does not give its figures: ', live.denied, '.')]);
  }
  countdown();
}

function countdown() {
  if (!live.gone) return;
  const left = Math.max(0, Math.ceil((live.gone.next - Date.now()) / 1000));
  say(wait, left > 0 ? `Next attempt in ${left} s.` : 'Trying …');
}

function retry() {
  offer();
  now();
  again();
}

let kinds = ['plugin.changed']; // of events that the server has
let tenants = kinds; // those of them that are not for administrators alone

// extensions are views of transforms and pages that the program brings along.
async function extensions() {
  const list = await (await fetch(new URL('extensions.json', import.meta.url), { signal: AbortSignal.timeout(10000) })).json();
  kinds = list.kinds;
  tenants = list.tenants ?? kinds;
  for (const [name, file] of Object.entries(list.views)) extend(name, url(`/ui/${file}`).href);
  for (const page of list.pages) {
    const module = url(`/ui/${page.module}`).href;
    pages.splice(pages.findIndex((one) => one.id === 'jobs'), 0, {
      id: page.id, title: page.title, icon: page.id,
      mount: async (body, context) => {
        const loaded = await import(tries ? `${module}#${tries}` : module).catch(() => null);
        if (context.signal.aborted) return; // another is shown by now
        absent = !loaded;
        if (absent) put(body, empty('This page could not be loaded', 'The server has it, and does not answer. It is loaded once the server does.'));
        else loaded.default(body, { ...context, kit });
      },
    });
  }
}

document.getElementById('skip').addEventListener('click', (e) => {
  e.preventDefault();
  main.focus();
});
put(foot, h('p', { class: 'state' }, dot, state), uptime, signOut);
await extensions().catch(() => {}); // an older or newer server has others; what is of the dashboard goes on
navigation();
addEventListener('hashchange', route);
route();
watch((what) => {
  status();
  if (what === 'back') again();
  if (what === 'back' && absent) {
    tries++;
    route();
  }
});
hear((event) => {
  if (event?.kind === 'plugin.changed') refresh();
});
setInterval(countdown, 1000);
status();
start();
follow(kinds, tenants);
globalThis.resonhost = { live, feed }; // to look at from the browser's console
