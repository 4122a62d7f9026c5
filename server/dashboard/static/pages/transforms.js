// The transforms, and one of them: what it takes, a form to run it, and what comes of it.

import { empty, h, keyed, put, renew } from '../dom.js';
import { bytes, number, percent, rate, seconds } from '../format.js';
import { run } from '../api.js';
import { example, formOf, parseJSON } from '../form.js';
import { guard } from '../rights.js';
import { lately, live, quantile, transforms, watch } from '../live.js';

const views = new Map(); // modules that show results, by the transform's name

/** extend has results of a transform shown by a module. */
export const extend = (transform, module) => views.set(transform, module);

export default function page(body, context) {
  const [name] = context.path;
  if (name) one(body, context, name);
  else list(body, context);
}

function list(body, { signal }) {
  const rows = h('ul', { class: 'transforms' });
  const none = h('div', {});
  put(body, none, rows);
  function update() {
    if (!live.plugins) return;
    const all = transforms();
    put(none, all.length === 0 && empty('No transform', 'A plugin that serves brings its transforms along.'));
    keyed(rows, all.map((t) => {
      const recent = lately(10000, t.name);
      return { name: t.name, plugin: t.plugin.name, input: t.input, output: t.output, paused: t.plugin.paused, rate: recent.took ? rate((recent.ok + recent.failed) / recent.took) : '–' };
    }), (t) => t.name, (t) => h('li', {}, h('a', { class: 'card transform', href: `#/transforms/${encodeURIComponent(t.name)}`, 'data-focus': t.name },
      h('strong', {}, t.name), h('span', { class: 'quiet types' }, `${t.input} → ${t.output}`), h('span', { class: 'quiet' }, t.plugin, t.paused && ' · paused'), h('span', { class: 'figure small' }, t.rate))));
  }
  watch(update, signal);
  update();
}

async function one(body, { retitle, signal }, name) {
  retitle(name);
  const about = h('div', {});
  const form = h('section', { class: 'card' }, h('h2', {}, 'Run it'));
  const said = h('div', { role: 'status' }); // what is read out: how it went, and not all of the result
  const shown = h('div', {}, empty('Nothing was run yet', 'What a task answers shows here.'));
  const result = h('section', { class: 'card' }, h('h2', {}, 'Result'), said, shown);
  put(body, h('p', {}, h('a', { href: '#/transforms' }, '← All transforms')), about, h('div', { class: 'two run' }, form, result));
  form.hidden = result.hidden = true; // until they are known, or what comes above them would have them jump
  let drawn = false;
  let absent = false; // whether the module that shows results could not be loaded
  let tries = 0; // to load it anew
  let input = () => undefined; // what the form has
  async function update(what) {
    const t = transforms().find((each) => each.name === name);
    if (!live.plugins) return;
    renew(about, t ? describe(t) : empty(`There is no transform ${name}`, 'Its plugin may be gone, or be refused: see ', h('a', { href: '#/plugins' }, 'Plugins'), '.'));
    if (!t || drawn && !(absent && what === 'back')) return;
    drawn = true;
    const view = await viewOf(name, tries++);
    if (signal.aborted) return;
    absent = !view;
    input = runner(form, { said, shown }, t, view ?? {}, signal, input());
    form.hidden = result.hidden = false;
  }
  watch(update, signal);
  update();
}

// viewOf loads the module that shows results, null if it could not be loaded. Without it they are JSON. A browser
// may keep a failure, so each further attempt has another address.
async function viewOf(name, tries) {
  if (!views.has(name)) return {};
  return import(tries ? `${views.get(name)}#${tries}` : views.get(name)).catch(() => null);
}

const seen = 'Last minute seen'; // figures begin when the page is opened

function describe(t) {
  const recent = lately(60000, t.name);
  const q = (part) => seconds(quantile(recent.latency, live.stats?.bounds_seconds ?? [], part));
  const facts = [
    ['Plugin', h('a', { href: '#/plugins' }, `${t.plugin.name} ${t.plugin.version}`)], ['Takes', h('code', {}, t.input)], ['Gives', h('code', {}, t.output)],
    ['State', t.state_bytes ? `${bytes(t.state_bytes)} a stream` : 'none'],
    [seen, recent.ok + recent.failed ? `${number(recent.ok + recent.failed)} tasks, ${percent(recent.failed / (recent.ok + recent.failed))} failed, p50 ≤ ${q(0.5)}, p95 ≤ ${q(0.95)}` : 'no task since this page was opened'],
  ];
  if (t.timeout_seconds) facts.splice(4, 0, ['Time limit', seconds(t.timeout_seconds)]);
  return h('dl', { class: 'facts card' }, facts.map(([name, value]) => h('div', { class: name === seen && 'whole' }, h('dt', {}, name), h('dd', {}, value))));
}

// runner draws the form, with an input that there was before if there was one. It returns what gives its input,
// undefined while that is none.
function runner(card, result, t, view, signal, before) {
  const schema = t.input_schema ?? view.input ?? (t.input.startsWith('text/') ? { type: 'string', title: 'Text', lines: 5 } : null);
  const start = before ?? view.example ?? example(schema);
  const form = schema && formOf(schema);
  const area = h('textarea', { id: 'document', rows: 9, spellcheck: 'false', class: 'mono', 'aria-describedby': 'document-fault' });
  const fault = h('p', { class: 'fault', id: 'document-fault', role: 'alert' });
  const stream = h('input', { id: 'stream', type: 'text', maxlength: 256, autocomplete: 'off' });
  const document_ = h('div', { class: 'field' }, h('label', { for: 'document' }, 'Input, as JSON'), area);
  let asForm = Boolean(form);
  area.value = JSON.stringify(start, null, 2);
  form?.write(start);
  const read = () => (asForm ? form.read() : parseJSON(area.value));
  const ways = form && h('div', { class: 'switch', role: 'group', 'aria-label': 'How to give the input' }, ['Form', 'JSON'].map((way) => h('button', {
    type: 'button', 'aria-pressed': String((way === 'Form') === asForm),
    onclick: (e) => {
      put(fault);
      try {
        const value = read();
        if (way === 'Form') form.write(value);
        else area.value = JSON.stringify(value, null, 2);
      } catch (problem) {
        put(fault, problem.message);
        return;
      }
      asForm = way === 'Form';
      form.el.hidden = !asForm;
      document_.hidden = asForm;
      for (const b of ways.children) b.setAttribute('aria-pressed', String(b === e.target));
    },
  }, way)));
  document_.hidden = asForm;
  const go = h('button', { type: 'submit', class: 'primary' }, 'Run');
  const denied = h('p', { class: 'hint' });
  const rights = () => put(denied, guard(go, 'call'));
  watch(rights, signal);
  rights();
  const el = h('form', {
    novalidate: true, class: 'stack',
    onsubmit: async (e) => {
      e.preventDefault();
      put(fault);
      if (guard(go, 'call')) return;
      let value;
      try {
        value = read();
      } catch (problem) {
        put(fault, problem.message);
        return;
      }
      go.disabled = true;
      await show(result, t, view, () => run(t.name, JSON.stringify(value), { stream: stream.value, signal }), (field, text) => form?.fault(field, text));
      go.disabled = false;
    },
  }, ways, form?.el, document_, t.state_bytes > 0 && h('div', { class: 'field' }, h('label', { for: 'stream' }, 'Stream'), stream, h('p', { class: 'hint' }, 'Tasks of a stream run one after the other, and share its state.')), fault, denied, h('div', { class: 'row' }, go));
  put(card, h('h2', {}, 'Run it'), el);
  return () => {
    try {
      return read();
    } catch {
      return undefined;
    }
  };
}

async function show({ said, shown }, t, view, work, mark) {
  try {
    const answer = await work();
    const json = answer.type.startsWith('application/json');
    const value = json ? JSON.parse(answer.text) : answer.text;
    const drawn = json && view.default && await drawing(view, value);
    put(said, h('p', { class: 'note' }, h('span', { class: 'badge ok' }, 'ok'), ` in ${seconds(answer.ms / 1000)}, ${bytes(answer.text.length)}`));
    put(shown, drawn,
      h('details', { class: 'json', open: !view.default }, h('summary', {}, 'As JSON'), h('pre', { tabindex: '0' }, json ? JSON.stringify(value, null, 2) : value)));
  } catch (e) {
    if (e.name === 'AbortError') return;
    mark(e.field ?? '', e.message);
    put(shown);
    put(said, h('div', { class: 'callout bad' },
      h('p', {}, h('strong', {}, e.kind ? e.kind.replaceAll('_', ' ') : 'The task did not run'), e.status && ` (${e.status})`), h('p', { class: 'reason' }, e.message)));
  }
}

async function drawing(view, value) {
  try {
    return view.default(value, await import('../kit.js'));
  } catch {
    return h('p', { class: 'note' }, 'This result could not be drawn; it is below as JSON.');
  }
}
