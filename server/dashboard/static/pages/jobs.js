// Work in the background: what was handed over, how far it has come, and what came of it.

import { card, empty, h, keyed, put } from '../dom.js';
import { bytes, moment, number, percent, plural, seconds } from '../format.js';
import { get, request } from '../api.js';
import { poll, transforms, watch } from '../live.js';
import { guard, priorities } from '../rights.js';

const LONGEST = 20000; // characters of results that are shown
const levels = { done: 'ok', failed: 'bad', cancelled: 'warn', running: 'info', queued: '' };

export default function jobs(body, { signal }) {
  const list = h('div', { class: 'cards' });
  const none = h('div', {});
  const results = new Map(); // by the job's ID, what was read of them
  let all = [];
  const refresh = poll(async () => {
    try {
      ({ jobs: all } = await get('/v1/jobs'));
      show();
    } catch (e) {
      if (e.status) put(none, empty('No jobs to be seen', e.message));
      else if (all.length === 0) put(none, empty('Jobs are not known yet', 'They show once the server answers.'));
    }
  }, 2000, signal);
  put(body, card('Hand over work', 'A task, or one in each line. The server does them while nobody waits.', form(refresh, signal)), none, list);

  function show() {
    put(none, all.length === 0 && empty('No job', 'You see the jobs of your own token and tenant. Those that are over are kept for a while.'));
    keyed(list, all.map((job) => ({ job, result: results.get(job.id) })), (one) => one.job.id, row);
  }

  function row({ job, result }) {
    const over = !['queued', 'running'].includes(job.state);
    return h('article', { class: 'card', 'aria-labelledby': `job-${job.id}` },
      h('header', { class: 'plugin-head' }, h('h2', { id: `job-${job.id}` }, job.transform), h('code', {}, job.id.slice(0, 12)), h('span', { class: 'badges' }, h('span', { class: `badge ${levels[job.state] ?? ''}` }, job.state))),
      h('progress', { max: Math.max(1, job.tasks), value: job.done, 'aria-label': `Done of ${job.transform}` }),
      h('p', { class: 'note' }, `${number(job.done)} of ${plural(job.tasks, 'task')}`, job.failed > 0 && `, ${number(job.failed)} failed`, `, ${percent(job.tasks ? job.done / job.tasks : 1)} · ${job.priority} · ${bytes(job.input_bytes)} in, ${bytes(job.result_bytes)} out · taken ${moment(job.created)}`,
        job.ended && job.started && `, took ${seconds((new Date(job.ended) - new Date(job.started)) / 1000)}`),
      job.error && h('p', { class: 'reason' }, job.error.detail),
      h('div', { class: 'row' },
        h('button', { type: 'button', 'data-focus': 'results', 'aria-disabled': job.result_bytes ? null : 'true', onclick: () => read(job) }, 'Results'),
        over ? h('button', { type: 'button', 'data-focus': 'end', onclick: () => end(job, '?remove=true') }, 'Forget') : h('button', { type: 'button', 'data-focus': 'end', onclick: () => end(job, '') }, 'Cancel')),
      result && h('pre', { tabindex: '0', 'aria-label': 'Results' }, result));
  }

  async function read(job) {
    await say(job, async () => {
      const text = await (await request(`/v1/jobs/${job.id}/results`, { signal })).text();
      return text.length > LONGEST ? `${text.slice(0, LONGEST)}\n… ${bytes(text.length)} in all` : text;
    });
  }

  async function end(job, query) {
    await say(job, async () => {
      await request(`/v1/jobs/${job.id}${query}`, { method: 'DELETE' });
      return results.get(job.id);
    });
    await refresh();
  }

  async function say(job, work) {
    try {
      results.set(job.id, await work());
    } catch (e) {
      results.set(job.id, e.message);
    }
    show();
  }
}

function form(refresh, signal) {
  const transform = h('input', { id: 'job-transform', list: 'job-transforms', required: true, autocomplete: 'off' });
  const names = h('datalist', { id: 'job-transforms' });
  const input = h('textarea', { id: 'job-lines', rows: 5, spellcheck: 'false', class: 'mono', 'aria-describedby': 'job-said' });
  const priority = h('select', { id: 'job-priority' }, ['normal', 'bulk', 'urgent'].map((name) => h('option', { value: name }, name)));
  const said = h('p', { id: 'job-said', role: 'status' });
  const go = h('button', { type: 'submit', class: 'primary' }, 'Hand over');
  const none = h('p', { class: 'hint' });
  function rights() {
    put(none, guard(go, 'call'));
    for (const option of priority.options) option.disabled = !(priorities()?.includes(option.value) ?? true);
  }
  watch(rights, signal);
  rights();
  transform.addEventListener('focus', () => put(names, transforms().map((t) => h('option', { value: t.name }))));
  return h('form', {
    class: 'stack', novalidate: true,
    onsubmit: async (e) => {
      e.preventDefault();
      if (guard(go, 'call')) return;
      try {
        const query = new URLSearchParams({ transform: transform.value, priority: priority.value });
        await request(`/v1/jobs?${query}`, { method: 'POST', headers: { 'Content-Type': 'application/x-ndjson' }, body: input.value.trimEnd() + '\n' });
        said.className = 'outcome';
        put(said, 'The server has taken the job.');
      } catch (problem) {
        said.className = 'fault';
        put(said, problem.message);
      }
      await refresh();
    },
  },
  h('div', { class: 'fields' },
    h('div', { class: 'field' }, h('label', { for: 'job-transform' }, 'Transform'), transform, names),
    h('div', { class: 'field' }, h('label', { for: 'job-priority' }, 'Priority'), priority)),
  h('div', { class: 'field' }, h('label', { for: 'job-lines' }, 'Tasks, JSON in each line'), input),
  none, h('div', { class: 'row' }, go, said));
}
