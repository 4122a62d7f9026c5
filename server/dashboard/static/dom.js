// Elements from the server's data. Text goes in by textContent alone, so that nothing a plugin or a
// caller has written is ever markup.

const SVG = 'http://www.w3.org/2000/svg';

/** h makes an element of HTML: h('p', {class: 'note', onclick: f}, 'text', child, [more]). */
export function h(tag, props, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** s makes an element of SVG. */
export function s(tag, props, ...children) {
  return fill(document.createElementNS(SVG, tag), props, children);
}

function fill(el, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith('on')) el.addEventListener(name.slice(2), value);
    else if (name === 'value' || name === 'checked' || name === 'open') el[name] = value;
    else el.setAttribute(name, value === true ? '' : value);
  }
  add(el, children);
  return el;
}

function add(el, children) {
  for (const child of children.flat(Infinity)) {
    if (child === undefined || child === null || child === false || child === '') continue;
    el.append(child instanceof Node ? child : document.createTextNode(String(child)));
  }
}

/** put replaces what an element holds. */
export function put(el, ...children) {
  el.replaceChildren();
  add(el, children);
  return el;
}

/**
 * renew has an element hold what put would, and keeps of what is there all that is alike: the focus, a
 * selection and where a box was scrolled to stay. What is kept has the listeners that it had.
 */
export function renew(el, ...children) {
  const next = new DocumentFragment();
  add(next, children);
  merge(el, next);
}

function merge(el, next) {
  let at = el.firstChild;
  for (const child of [...next.childNodes]) {
    const now = at;
    at = at?.nextSibling ?? null;
    if (!now) {
      el.append(child);
    } else if (now.nodeName !== child.nodeName || now.getAttribute?.('href') !== child.getAttribute?.('href')) {
      now.replaceWith(child); // a link that leads elsewhere is another, or who has it in focus would be led astray
    } else if (now instanceof Element) {
      for (const { name } of [...now.attributes]) if (!child.hasAttribute(name)) now.removeAttribute(name);
      for (const { name, value } of child.attributes) if (now.getAttribute(name) !== value) now.setAttribute(name, value);
      merge(now, child);
    } else if (now.data !== child.data) {
      now.data = child.data;
    }
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

/** say sets an element's text if it differs, so that nothing is read out or painted twice. */
export function say(el, text) {
  if (el.textContent !== text) el.textContent = text;
}

/**
 * keyed holds a container's children to a list: each item has an element, which is made anew only
 * when the item has changed. What has the focus keeps it, by its attribute data-focus.
 */
export function keyed(container, items, key, render) {
  const before = container.items ?? new Map();
  const after = new Map();
  const active = container.contains(document.activeElement) ? document.activeElement : null;
  const focus = active?.dataset.focus;
  const owner = [...before].find(([, entry]) => entry.el.contains(active))?.[0];
  for (const item of items) {
    const id = key(item);
    const text = JSON.stringify(item);
    const old = before.get(id);
    after.set(id, old?.text === text ? old : { text, el: render(item) });
  }
  container.items = after;
  let at = container.firstChild;
  for (const { el } of after.values()) {
    if (el === at) at = at.nextSibling;
    else container.insertBefore(el, at);
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
  if (focus && !container.contains(document.activeElement)) {
    after.get(owner)?.el.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus({ preventScroll: true });
  }
}

/**
 * table makes a table with a caption that is read out, in a box that scrolls sideways by itself. Columns
 * of figures stand below each other by their ends: all but those that texts names, from 0.
 */
export function table(caption, head, rows, texts = [0]) {
  const side = (i) => (texts.includes(i) ? null : 'figures');
  return h('div', { class: 'scroll', tabindex: '0', role: 'region', 'aria-label': caption },
    h('table', {},
      h('caption', { class: 'unseen' }, caption),
      h('thead', {}, h('tr', {}, head.map((name, i) => h('th', { scope: 'col', class: side(i) }, name)))),
      h('tbody', {}, rows.map((row) => h('tr', {}, row.map((cell, i) => (i === 0 ? h('th', { scope: 'row', class: side(i) }, cell) : h('td', { class: side(i) }, cell))))))));
}

/** card is a section with a title. */
export function card(title, note, ...content) {
  return h('section', { class: 'card' }, h('h2', {}, title), note && h('p', { class: 'note' }, note), content);
}

/** empty is what stands where there is nothing yet. */
export function empty(title, ...more) {
  return h('div', { class: 'empty' }, h('p', { class: 'empty-title' }, title), more.length > 0 && h('p', {}, more));
}

const ICONS = {
  overview: 'M3 13h4l3-8 4 14 3-6h4',
  plugins: 'M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13 16.5h7M16.5 13v7',
  transforms: 'M4 7h11m-4-4 4 4-4 4M20 17H9m4-4-4 4 4 4',
  network: 'M12 12m-2 0a2 2 0 1 0 4 0 2 2 0 1 0-4 0M5 5m-2 0a2 2 0 1 0 4 0 2 2 0 1 0-4 0M19 6m-2 0a2 2 0 1 0 4 0 2 2 0 1 0-4 0M17 19m-2 0a2 2 0 1 0 4 0 2 2 0 1 0-4 0M6.5 6.5l4 4M17.4 7.3l-4 3.4M13 13.7l3 3.6',
  events: 'M5 6h14M5 12h14M5 18h9',
  logs: 'M5 4h14v16H5zM8 9h8M8 12.5h8M8 16h5',
  fleet: 'M4 4h16v6H4zM4 14h16v6H4zM7 7h2M7 17h2M13 7h4M13 17h4',
  jobs: 'M4 8h16v11H4zM9 8V5h6v3M4 13h16',
};

/** icon is a small drawing beside a word, which says the same. */
export function icon(name) {
  return s('svg', { class: 'icon', viewBox: '0 0 24 24', 'aria-hidden': 'true' }, s('path', { d: ICONS[name] ?? ICONS.events }));
}
