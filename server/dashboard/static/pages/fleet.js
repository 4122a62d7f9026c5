// The fleet that the host is of: its hosts and what they serve, roll-outs, and what waits.

import { card, empty, h, put, renew, table } from '../dom.js';
import { bytes, clock, hash, moment, number, percent, plural, rate, seconds } from '../format.js';
import { get } from '../api.js';
import { live, poll, watch } from '../live.js';

const EVERY = 2000; // ms between looks
const MOST = 100; // hosts of a roll-out that are listed, and faults

/** there reports whether the host is of a fleet, as far as that is known. */
export const there = () => Boolean(live.stats?.fleet);

export default function fleet(body, { retitle, signal }) {
  const said = h('div', { role: 'status' });
  const none = h('div', {});
  const tiles = h('div', { class: 'tiles' });
  const hosts = h('div', {});
  const versions = h('div', {});
  const plugins = h('div', { class: 'cards' });
  const all = h('div', { class: 'cards', hidden: true }, tiles,
    card('Hosts', 'A host that gives no sign of life is not in the list.', hosts), card('Versions', 'What each host serves of each plugin.', versions), plugins);
  put(body, said, none, all);
  let seen = null;
  let at = 0; // when that was
  let lost = null; // why the fleet cannot be read, though the server answers
  let asked = false;

  const look = poll(async () => {
    if (there()) {
      asked = true;
      try {
        seen = await get('/v1/fleet');
        at = Date.now();
        lost = null;
      } catch (e) {
        lost = e.status ? e.message : null;
      }
    }
    if (!signal.aborted) show();
  }, EVERY, signal);
  watch((what) => {
    if (what === 'back' || (!asked && live.stats)) look();
  }, signal);

  function show() {
    renew(said, lost && seen && h('p', { class: 'notice bad' }, `What is shown is from ${clock(at)}: ${lost}.`));
    all.classList.toggle('past', Boolean(lost));
    all.hidden = !seen;
    renew(none, !seen && nothing());
    if (!seen) return;
    retitle(`Fleet ${seen.fleet}`);
    renew(tiles, figures(seen));
    renew(hosts, hostTable(seen.hosts));
    renew(versions, versionTable(seen.hosts), faults(seen));
    renew(plugins, seen.plugins.length === 0 ? h('section', { class: 'card' }, empty('No plugin was pushed', 'Each host serves what its own directory has. resonhost fleet push FILE has all of them serve the plugin of a file.')) : seen.plugins.map((p) => plugin(p, here(seen.hosts))));
  }

  function nothing() {
    if (live.stats && !there()) return empty('This host is of no fleet', 'One that is run with --nats URL is.');
    if (lost) return empty('The fleet cannot be read', lost);
    return empty('The fleet is not known yet', 'It shows once the server answers.');
  }
}

// here are the hosts but for processes whose names others have by now.
const here = (hosts) => hosts.filter((one) => one.state !== 'gone');

function figures({ queue, hosts: all }) {
  const hosts = here(all);
  const out = hosts.filter((one) => one.state !== 'serving').length;
  const known = hosts.filter((one) => one.tasks_per_second !== undefined);
  return [
    ['Hosts', number(hosts.length), out ? `${number(out)} not serving` : 'all serve'],
    ['Throughput', known.length ? rate(known.reduce((sum, one) => sum + one.tasks_per_second, 0)) : '–', 'tasks of all hosts'],
    ['Waiting', number(queue.waiting), queue.oldest_seconds ? `frames, oldest ${seconds(queue.oldest_seconds)}` : 'frames'],
    ['Under way', number(queue.under_way), 'frames of all hosts'],
    ['Queue', bytes(queue.bytes), 'of all frames'],
    ['Dead letters', number(queue.dead_letters), queue.dead_letters ? 'frames given up' : 'none given up', queue.dead_letters > 0],
  ].map(([title, value, note, alarm]) => h('dl', { class: 'tile' }, h('dt', {}, title), h('dd', { class: alarm ? 'figure alarm' : 'figure' }, value), h('dd', { class: 'note' }, note)));
}

const states = { serving: 'ok', draining: 'info', drained: 'warn', gone: 'bad', unreadable: 'bad' };

function hostTable(hosts) {
  if (hosts.length === 0) return empty('No host gives a sign of life', 'Frames wait until one does.');
  return table('Hosts', ['Host', 'State', 'Busy', 'Waiting', 'Frames now', 'Answered', 'Tasks/s', 'Failed', 'Seen'], hosts.map((one) => [
    one.host, h('span', { class: `badge ${states[one.state] ?? ''}` }, one.state), `${number(one.active)} of ${number(one.workers)}`, number(one.waiting),
    number(one.under_way), number(one.frames), one.tasks_per_second === undefined ? '–' : number(one.tasks_per_second), number(one.failed), `${one.age_seconds.toFixed(1)} s ago`,
  ]), [0, 1]);
}

function versionTable(hosts) {
  const names = [...new Set(hosts.flatMap((one) => one.plugins.map((p) => p.source)))].sort();
  if (names.length === 0) return empty('No host has a plugin');
  return table('Versions of plugins on hosts', ['Host', ...names], hosts.map((one) => [one.host, ...names.map((name) => version(one.plugins.find((p) => p.source === name)))]), names.map((_, i) => i + 1).concat(0));
}

function version(p) {
  if (!p) return '–';
  return [h('span', { title: p.hash ? `binary ${hash(p.hash)}` : null }, p.version || hash(p.hash) || 'none'), p.canary && h('span', { class: 'badge info' }, 'canary'), p.failure && h('span', { class: 'badge bad' }, 'not as wanted')].filter(Boolean).flatMap((el) => [el, ' ']);
}

// faults are why hosts do not do what the fleet wants.
function faults({ hosts, drained }) {
  const list = hosts.flatMap((one) => [
    ...(one.unreadable ? [[`The sign of life of ${one.host} cannot be read`, one.unreadable]] : []),
    ...one.plugins.filter((p) => p.failure).map((p) => [`${p.source} of ${one.host} is not as the fleet wants it`, p.failure]),
  ]);
  const away = drained.filter((name) => !hosts.some((one) => one.host === name));
  return [
    list.slice(0, MOST).map(([what, why]) => h('div', { class: 'callout bad' }, h('p', {}, h('strong', {}, what)), h('p', { class: 'reason' }, why))),
    list.length > MOST && h('p', { class: 'note' }, `${number(list.length - MOST)} more.`),
    away.length > 0 && h('p', { class: 'note' }, `Drained, and not there: ${away.join(', ')}.`),
  ];
}

const release = (of) => [of.version && h('strong', {}, of.version), ' ', h('code', { title: of.hash }, hash(of.hash))];
const levels = { rolling: 'info', done: 'ok', stopped: 'bad' };
const words = { rolling: 'rolling out', done: 'all hosts serve it', stopped: 'stopped' };

function plugin({ plugin: name, current, rollout }, hosts) {
  const on = current ? hosts.filter((one) => one.plugins.some((p) => p.source === name && p.hash === current.hash)).length : 0;
  return h('article', { class: 'card', 'aria-labelledby': `fleet-${name}` },
    h('header', { class: 'plugin-head' }, h('h2', { id: `fleet-${name}` }, name), h('span', { class: 'badges' }, h('span', { class: `badge ${levels[rollout.state] ?? ''}` }, words[rollout.state] ?? rollout.state))),
    h('p', {}, current ? ['The fleet wants ', release(current), `, which is on ${number(on)} of ${plural(hosts.length, 'host')}.`] : 'Hosts serve what their directories have, until a first roll-out is done.'),
    rollout.state === 'rolling' && rolling(rollout, hosts, name),
    rollout.state === 'stopped' && h('div', { class: 'callout bad' }, h('p', {}, h('strong', {}, 'The roll-out was stopped'), `, ${moment(rollout.ended)}, of `, release(rollout.release)), h('p', { class: 'reason' }, rollout.reason)),
    h('div', { class: 'row' }, h('a', { href: '#/plugins', 'aria-label': `${name} on the host that you look at` }, 'On this host')));
}

function rolling({ release: next, began, share, watch_ms: watched, places = {} }, hosts, name) {
  const good = hosts.filter((one) => places[one.instance]?.step === 'good').length;
  const rows = hosts.slice(0, MOST).map((one) => [one.host, places[one.instance]?.step ?? (one.state === 'serving' ? 'waits' : one.state)]);
  return [
    h('div', { class: 'callout' },
      h('p', {}, h('strong', {}, 'A roll-out is under way'), `, since ${moment(began)}, of `, release(next)),
      h('p', {}, `Good on ${number(good)} of ${plural(hosts.length, 'host')}. ${percent(share)} of the hosts at a time, one at least, try it for ${seconds(watched / 1000)}.`)),
    h('progress', { max: Math.max(1, hosts.length), value: good, 'aria-label': `Hosts that have found ${name} good` }),
    h('ul', { class: 'checks', 'aria-label': `Places of hosts in the roll-out of ${name}` }, rows.map(([host, step]) => h('li', { class: 'check' }, host, h('span', { class: `badge ${{ good: 'ok', trying: 'info' }[step] ?? ''}` }, step)))),
    hosts.length > MOST && h('p', { class: 'note' }, `${number(hosts.length - MOST)} more.`),
  ];
}
