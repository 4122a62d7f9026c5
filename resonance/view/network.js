// Networks of resonance nodes on the dashboard: the nodes on their golden spiral, with bonds.

const MOST = 600; // nodes that are drawn
const EVERY = 1000; // ms between looks

/** The default export is the page. */
export default function page(body, { path, retitle, signal, kit }) {
  if (path[0]) one(body, path[0], retitle, signal, kit);
  else list(body, signal, kit);
}

function list(body, signal, kit) {
  const { card, empty, format, guard, h, keyed, poll, put, request } = kit;
  const rows = h('ul', { class: 'transforms' });
  const none = h('div', {});
  const said = h('p', { class: 'fault', role: 'alert' });
  const count = h('input', { id: 'nodes', type: 'number', min: 1, max: 144, value: '34', inputmode: 'numeric' });
  const name = h('input', { id: 'network-id', type: 'text', maxlength: 64, autocomplete: 'off', spellcheck: 'false' });
  const go = h('button', { type: 'submit', class: 'primary' }, 'Create a network');
  const denied = h('p', { class: 'hint' });
  const form = h('form', {
    class: 'stack', novalidate: true,
    onsubmit: async (e) => {
      e.preventDefault();
      put(said, guard(go, 'call'));
      if (said.textContent) return;
      try {
        location.hash = `#/network/${encodeURIComponent(await create(request, name.value.trim(), Math.max(1, Math.min(144, Number(count.value) || 1))))}`;
      } catch (problem) {
        put(said, problem.message);
      }
    },
  }, h('div', { class: 'fields' },
    h('div', { class: 'field' }, h('label', { for: 'network-id' }, 'Name'), name, h('p', { class: 'hint' }, 'Without one it gets one.')),
    h('div', { class: 'field' }, h('label', { for: 'nodes' }, 'Nodes'), count, h('p', { class: 'hint' }, 'At most 144. Each is bound to the eighth and the thirteenth before it.'))), said, denied,
  h('div', { class: 'row' }, go));
  const making = card('A new network', 'Nodes resonate by the transforms of tick, every 10 ms, until the network is deleted or the server ends.', form);
  put(body, none, rows);
  const rights = () => put(denied, guard(go, 'call'));
  kit.watch(rights, signal);
  rights();
  poll(async () => {
    const { networks } = await kit.get('/v1/networks').catch((e) => ({ networks: put(none, e.status ? empty('No networks to be seen', e.message) : rows.children.length === 0 && empty('Networks are not known yet', 'They show once the server answers.')) && null }));
    if (!making.isConnected) body.append(making); // below what there is, so that it does not jump
    if (!networks) return;
    put(none, networks.length === 0 && empty('No network', 'You see the networks of your own tenant.'));
    keyed(rows, networks.map(({ id, nodes, active, connections }) => ({ id, nodes, active, connections })), (n) => n.id, (n) => h('li', {}, h('a', { class: 'card transform', href: `#/network/${encodeURIComponent(n.id)}`, 'data-focus': n.id },
      h('strong', {}, n.id), h('span', { class: 'quiet' }, `${format.plural(n.nodes, 'node')}, ${format.number(n.active)} resonate`), h('span', { class: 'quiet' }, format.plural(n.connections, 'bond')))));
  }, EVERY, signal);
}

async function create(request, name, count) {
  const post = async (path, value) => (await request(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(value) })).json();
  const { id, state } = await post('/v1/networks', name ? { id: name } : {});
  const patterns = Object.keys(state?.patterns ?? {}).sort();
  const at = `/v1/networks/${encodeURIComponent(id)}`;
  const ids = [];
  for (let i = 0; i < count; i++) {
    const node = await post(`${at}/nodes`, { frequency: 144 * 1.618 ** (i % 7), resonance_strength: 0.05 + (i % 13) / 20, harmonic_patterns: patterns.length ? [patterns[i % patterns.length]] : [] });
    ids.push(node.id);
    for (const back of [8, 13]) if (i >= back) await post(`${at}/connections`, { a: node.id, b: ids[i - back] });
  }
  return id;
}

async function one(body, id, retitle, signal, kit) {
  const { card, empty, format, get, h, poll, put, renew, request, say, sure, table } = kit;
  retitle(id);
  const base = `/v1/networks/${encodeURIComponent(id)}`;
  const facts = h('dl', { class: 'tiles' }, ['Nodes', 'Bonds', 'Mean strength', 'Coherence', 'Ticks', 'Ticks left out'].map((name) => h('div', { class: 'tile' }, h('dt', {}, name), h('dd', { class: 'figure' }, '–'))));
  const said = h('p', { class: 'fault', role: 'alert' });
  const chosen = h('div', {});
  const drawing = spiral(kit, (of) => choose(state.nodes.find((n) => n.id === of)));
  const nodes = h('div', {});
  const details = h('details', { class: 'data' }, h('summary', {}, 'Nodes as a table'), nodes);
  const state = { nodes: [], bonds: [], of: -1, node: null };
  put(body, h('p', {}, h('a', { href: '#/network' }, '← All networks')), said, facts,
    card('Spiral', 'A node is as large as it resonates; one that is stopped is hollow. Choose one to stop it.', drawing.el, chosen, details),
    h('div', { class: 'row' }, h('button', {
      type: 'button',
      onclick: async () => {
        if (await sure('Delete the network?', 'Its nodes are gone then.', 'Delete')) act(async () => { await request(base, { method: 'DELETE' }); location.hash = '#/network'; });
      },
    }, 'Delete the network')));

  const refresh = poll(async () => {
    try {
      const [network, answer] = await Promise.all([get(base), get(`${base}/nodes?limit=${MOST}`)]);
      state.nodes = answer.nodes;
      if (state.of !== network.connections) {
        state.of = network.connections;
        state.bonds = await bonds(get, base, answer.nodes);
      }
      put(said);
      show(network, answer.total);
    } catch (e) {
      if (e.status) put(said, e.message);
      else if (state.nodes.length === 0) put(chosen, empty('The network is not known yet', 'It shows once the server answers.'));
    }
  }, EVERY, signal);

  function show(network, total) {
    const strength = state.nodes.reduce((sum, n) => sum + n.resonance_strength, 0) / Math.max(1, state.nodes.length);
    const values = [format.number(network.nodes), format.number(network.connections), strength.toFixed(3), (network.state?.metrics?.networkCoherence ?? 0).toFixed(3), format.number(network.ticks), format.number(network.ticks_coalesced)];
    facts.querySelectorAll('.figure').forEach((el, i) => say(el, values[i]));
    drawing.update(state.nodes, state.bonds, `${format.plural(total, 'node')} with ${format.plural(network.connections, 'bond')}, of a mean strength of ${strength.toFixed(2)}.${total > MOST ? ` The first ${MOST} are drawn.` : ''}`);
    if (details.open) renew(nodes, table('Nodes', ['Node', 'Frequency', 'Strength', 'State'], state.nodes.map((n) => [n.id, `${format.number(n.frequency)} Hz`, n.resonance_strength.toFixed(3), n.state]), [0, 3]));
    if (state.nodes.length === 0) put(chosen, empty('No node', `POST ${base}/nodes makes one.`));
    else choose(state.nodes.find((n) => n.id === state.node?.id), true);
  }

  function choose(node, quiet) {
    const was = state.node;
    state.node = node ?? null;
    if (quiet && (!node || (was?.id === node.id && was?.state === node.state && chosen.firstChild))) {
      const figure = chosen.querySelector('.strength');
      if (node && figure) say(figure, node.resonance_strength.toFixed(3));
      return;
    }
    const stopped = node?.state === 'stopped';
    put(chosen, node && h('div', { class: 'callout info' },
      h('p', {}, h('strong', {}, node.id), ` · ${format.number(node.frequency)} Hz · strength `, h('span', { class: 'strength' }, node.resonance_strength.toFixed(3)), ` · ${node.state}`),
      h('div', { class: 'row' }, h('button', { type: 'button', onclick: () => act(() => request(`${base}/nodes/${encodeURIComponent(node.id)}/${stopped ? 'resume' : 'stop'}`, { method: 'POST' })) }, stopped ? 'Resume' : 'Stop'))));
  }

  async function act(work) {
    try {
      await work();
      await refresh();
    } catch (e) {
      put(said, e.message);
    }
  }
}

// bonds of all nodes that are drawn, a few requests at a time.
async function bonds(get, base, nodes) {
  const found = new Map();
  const queue = nodes.map((n) => n.id);
  await Promise.all(Array.from({ length: 3 }, async () => {
    for (let id = queue.pop(); id !== undefined; id = queue.pop()) {
      const node = await get(`${base}/nodes/${encodeURIComponent(id)}`);
      for (const c of node.connections ?? []) found.set([c.a, c.b].sort().join('\n'), c);
    }
  }));
  return [...found.values()];
}

// spiral draws nodes where they are, each a button.
function spiral({ h, put, s }, choose) {
  const svg = s('svg', { class: 'chart spiral', height: 440, role: 'group', 'aria-label': 'The nodes on a golden spiral' });
  const sentence = h('p', { class: 'note' }, '\u00a0'); // which keeps its place
  let drawn = '';
  let circles = new Map();
  function draw(nodes, bonds) {
    const reach = Math.max(1, ...nodes.map((n) => Math.hypot(n.position.x, n.position.y))) * 1.12;
    svg.setAttribute('viewBox', `${-reach} ${-reach} ${2 * reach} ${2 * reach}`);
    const unit = reach / 26;
    const at = new Map(nodes.map((n) => [n.id, n]));
    circles = new Map(nodes.map((n) => {
      const press = () => choose(n.id);
      const circle = s('circle', { cx: n.position.x, cy: n.position.y, tabindex: '0', role: 'button', 'aria-label': n.id, onclick: press, onkeydown: (e) => { if (e.key === 'Enter' || e.key === ' ') { e.preventDefault(); press(); } } });
      return [n.id, { circle, unit }];
    }));
    put(svg, bonds.filter((c) => at.has(c.a) && at.has(c.b)).map((c) => s('line', { class: 'bond', x1: at.get(c.a).position.x, y1: at.get(c.a).position.y, x2: at.get(c.b).position.x, y2: at.get(c.b).position.y, 'stroke-opacity': (0.15 + 0.6 * c.resonance_strength).toFixed(2) })),
      [...circles.values()].map((one) => one.circle));
  }
  function update(nodes, bonds, text) {
    const now = JSON.stringify([nodes.map((n) => [n.id, n.position]), bonds]);
    if (now !== drawn) draw(nodes, bonds);
    drawn = now;
    for (const n of nodes) {
      const { circle, unit } = circles.get(n.id);
      circle.setAttribute('r', (unit * (0.35 + 0.75 * n.resonance_strength)).toFixed(2));
      circle.setAttribute('class', `node ${n.state === 'stopped' ? 'stopped' : ''}`);
    }
    put(sentence, text);
  }
  return { el: h('div', {}, svg, sentence), update };
}
