// Charts as SVG that is drawn at the width there is. Each is a figure with a sentence that says
// what it shows, and with its data as a table for who cannot see it, or wants the figures.

import { h, s, put, renew, say, table } from './dom.js';
import { clock, number } from './format.js';

// figure is the frame of a chart. draw(svg, width) draws it, data() is its table.
function figure(label, height, draw, data) {
  const svg = s('svg', { class: 'chart', height, role: 'img', 'aria-label': label });
  const rows = h('div', {});
  const details = h('details', { class: 'data' }, h('summary', {}, 'Data as a table'), rows);
  const el = h('figure', {}, svg, details);
  const redraw = () => {
    const width = svg.clientWidth;
    if (width > 0) draw(svg, width);
    if (details.open) renew(rows, data());
  };
  details.addEventListener('toggle', redraw);
  new ResizeObserver(redraw).observe(svg);
  return { el, svg, redraw };
}

const text = (x, y, content, anchor = 'start', cls = 'tick') => s('text', { x, y, 'text-anchor': anchor, class: cls }, content);

const ago = (ms) => (ms < 1000 ? '' : ms < 120000 ? `${Math.round(ms / 1000)} s ago` : `${Math.round(ms / 6000) / 10} min ago`);

// nice is the least of 1, 2, 5, 10, … that is no less.
function nice(v) {
  if (!(v > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(v));
  return unit * [1, 2, 5, 10].find((n) => n * unit >= v * 0.9999);
}

/**
 * lines is a chart of values over time: update([{name, points: [{at, value}]}], [from, to]). A point
 * whose value is null is a gap. The lines have a legend if they are more than one, or named.
 */
export function lines({ label, unit = number, least = 0, height = 190, named = false }) {
  let series = [];
  let span = [0, 1];
  const legend = h('ul', { class: 'legend' });
  const chart = figure(label, height, draw, () => table(label, ['Time', ...series.map((one) => one.name)],
    (series[0]?.points ?? []).map((p, i) => [clock(p.at), ...series.map((one) => (one.points[i]?.value === null ? '–' : unit(one.points[i]?.value)))]).reverse()));
  function draw(svg, width) {
    const [left, right, top, bottom] = [52, 8, 10, 22];
    const most = nice(Math.max(least, ...series.flatMap((one) => one.points.map((p) => p.value ?? 0))));
    const x = (at) => left + ((at - span[0]) / (span[1] - span[0])) * (width - left - right);
    const y = (v) => top + (1 - v / most) * (height - top - bottom);
    const marks = [0, 0.5, 1].map((part) => [
      s('line', { class: 'grid', x1: left, x2: width - right, y1: y(part * most), y2: y(part * most) }),
      text(left - 8, y(part * most) + 4, unit(part * most), 'end'),
    ]);
    const times = width < 420 ? [0, 1] : [0, 0.5, 1];
    put(svg, marks,
      times.map((part) => text(left + part * (width - left - right), height - 5, part === 1 ? 'now' : ago((1 - part) * (span[1] - span[0])), ['start', 'middle', 'end'][part * 2])),
      series.map((one, i) => s('path', { class: `line c${(one.color ?? i) % 6}`, d: path(one.points, x, y) })),
      series.length === 1 && s('path', { class: `area c${(series[0].color ?? 0) % 6}`, d: area(series[0].points, x, y) }));
  }
  function update(next, window) {
    series = next;
    span = window;
    chart.redraw();
    put(legend, (named || series.length > 1) && series.map((one, i) => h('li', { class: `c${(one.color ?? i) % 6}` }, one.name)));
    const at = series.map((one) => `${one.name} ${unit(one.points.at(-1)?.value ?? NaN)}`);
    chart.svg.setAttribute('aria-label', `${label}. Now: ${at.join(', ') || 'nothing'}.`);
  }
  chart.el.prepend(legend);
  return { el: chart.el, update };
}

function path(points, x, y) {
  let d = '';
  let pen = 'M';
  for (const p of points) {
    if (p.value === null) {
      pen = 'M';
      continue;
    }
    d += `${pen}${x(p.at).toFixed(1)} ${y(p.value).toFixed(1)}`;
    pen = 'L';
  }
  return d;
}

function area(points, x, y) {
  const runs = [[]];
  for (const p of points) p.value === null ? runs.push([]) : runs.at(-1).push(p);
  return runs.filter((run) => run.length > 1).map((run) => `M${x(run[0].at).toFixed(1)} ${y(0)}L${path(run, x, y).slice(1)}L${x(run.at(-1).at).toFixed(1)} ${y(0)}Z`).join('');
}

/** spark is a line without axes, beside the figure that says the same. */
export function spark(points) {
  const most = Math.max(...points, 1e-9);
  const d = points.map((v, i) => `${i ? 'L' : 'M'}${((i / Math.max(1, points.length - 1)) * 100).toFixed(1)} ${(22 - (v / most) * 20).toFixed(1)}`).join('');
  return s('svg', { class: 'spark', viewBox: '0 0 100 24', preserveAspectRatio: 'none', 'aria-hidden': 'true' }, s('path', { class: 'line c0', d }));
}

/**
 * heat is a map of how often what happened when, darker by the logarithm: update(columns, rows, names) with columns of
 * {at, counts}, and for each row a name. The first row is the lowest.
 */
export function heat({ label, height = 220 }) {
  let columns = [];
  let rows = [];
  let most = 0;
  const read = h('p', { class: 'read', 'aria-hidden': 'true' });
  const scale = h('span', { class: 'scale-most' });
  const legend = h('p', { class: 'heat-legend', 'aria-hidden': 'true' }, '1 ', [0.12, 0.34, 0.56, 0.78, 1].map((o) => {
    const step = h('span', { class: 'heat-step' });
    step.style.setProperty('--part', String(o));
    return step;
  }), ' ', scale, ' tasks in 5 s');
  const chart = figure(label, height, draw, () => table(label, ['Time', ...rows], columns.filter((c) => c.counts).map((c) => [clock(c.at), ...rows.map((_, i) => number(c.counts[i] ?? 0))]).reverse()));
  const box = { left: 60, right: 8, top: 6, bottom: 22 };
  function draw(svg, width) {
    const w = (width - box.left - box.right) / Math.max(1, columns.length);
    const tall = (height - box.top - box.bottom) / Math.max(1, rows.length);
    const step = Math.ceil(rows.length / 8);
    const y = (i) => height - box.bottom - (i + 1) * tall;
    put(svg,
      s('rect', { class: 'plate', x: box.left, y: box.top, width: width - box.left - box.right, height: height - box.top - box.bottom, rx: 4 }),
      rows.map((name, i) => i % step === 0 && text(box.left - 8, y(i) + tall / 2 + 4, name, 'end')),
      columns.map((c, at) => (c.counts ?? []).map((n, i) => n > 0 && s('rect', {
        class: 'cell', x: (box.left + at * w).toFixed(1), y: y(i).toFixed(1), width: Math.max(1, w - 0.7).toFixed(1), height: Math.max(1, tall - 0.7).toFixed(1), 'fill-opacity': (0.12 + 0.88 * (Math.log1p(n) / Math.log1p(most))).toFixed(2),
      }))),
      text(box.left, height - 5, columns.length ? ago(columns.at(-1).at - columns[0].at) : ''), text(width - box.right, height - 5, 'now', 'end'));
  }
  chart.svg.addEventListener('pointermove', (e) => {
    const area = chart.svg.getBoundingClientRect();
    const at = Math.floor(((e.clientX - area.left - box.left) / (area.width - box.left - box.right)) * columns.length);
    const row = Math.floor(((area.bottom - box.bottom - e.clientY) / (height - box.top - box.bottom)) * rows.length);
    const c = columns[at];
    say(read, c && rows[row] !== undefined ? `${clock(c.at)}, ${rows[row]}: ${number(c.counts?.[row] ?? 0)}` : '');
  });
  chart.svg.addEventListener('pointerleave', () => say(read, ''));
  function update(next, names, sentence) {
    columns = next;
    rows = names;
    most = Math.max(1, ...columns.flatMap((c) => c.counts ?? []));
    say(scale, number(most));
    chart.redraw();
    chart.svg.setAttribute('aria-label', `${label}. ${sentence}`);
  }
  chart.el.insertBefore(h('div', { class: 'under' }, legend, read), chart.el.lastChild);
  return { el: chart.el, update };
}

/**
 * bars is a list of values as bars, which text says too: [{name, value, note, color}]. A color is a
 * number of the palette, or of the form #RRGGBB.
 */
export function bars({ label, items, most, unit = number }) {
  const top = most ?? Math.max(1e-12, ...items.map((one) => one.value));
  return h('ul', { class: 'bars', 'aria-label': label }, items.map((one, i) => {
    const bar = h('span', { class: `bar c${Number.isInteger(one.color) ? one.color % 6 : i % 6}` });
    bar.style.setProperty('--part', String(Math.max(0, Math.min(1, one.value / top))));
    if (typeof one.color === 'string') bar.style.setProperty('--color', one.color);
    return h('li', {},
      h('span', { class: 'bar-name' }, one.name),
      h('span', { class: 'bar-track', 'aria-hidden': 'true' }, bar),
      h('span', { class: 'bar-value' }, unit(one.value), one.note && h('small', {}, ` ${one.note}`)));
  }));
}

/** columns is a chart of a few values side by side: [{name, value}], 0 to most. */
export function columns({ label, items, most, unit = number, height = 200 }) {
  const top = most ?? nice(Math.max(...items.map((one) => one.value), 0));
  const chart = figure(`${label}: ${items.map((one) => `${one.name} ${unit(one.value)}`).join(', ')}`, height, draw,
    () => table(label, ['', 'Value'], items.map((one) => [one.name, unit(one.value)])));
  function draw(svg, width) {
    const [left, right, above, below] = [44, 8, 18, 22];
    const w = (width - left - right) / items.length;
    const y = (v) => above + (1 - v / top) * (height - above - below);
    put(svg,
      [0, 0.5, 1].map((part) => [s('line', { class: 'grid', x1: left, x2: width - right, y1: y(part * top), y2: y(part * top) }), text(left - 8, y(part * top) + 4, unit(part * top), 'end')]),
      items.map((one, i) => [
        s('rect', { class: `column c${(one.color ?? 0) % 6}`, x: left + i * w + w * 0.14, width: w * 0.72, y: y(Math.max(0, one.value)), height: Math.max(0, y(0) - y(Math.max(0, one.value))), rx: 3 }),
        w > 34 && text(left + i * w + w / 2, y(Math.max(0, one.value)) - 5, unit(one.value), 'middle', 'tick strong'),
        text(left + i * w + w / 2, height - 5, one.name, 'middle'),
      ]));
  }
  requestAnimationFrame(chart.redraw);
  return chart.el;
}
