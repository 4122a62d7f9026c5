// A pool of Piscina that is measured: it does what the lines on stdin ask for, one after
// the other, and answers each with a line. Package main of the directory above has the
// same loops in Go, and says what the requests mean.

import { createHistogram, performance } from 'node:perf_hooks';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';

import { Piscina } from 'piscina';

const { values: args } = parseArgs({
  options: {
    octaves: { type: 'string', default: '8' },
    workers: { type: 'string', default: '2' },
  },
});
const workers = Number(args.workers);

function openPool() {
  return new Piscina({
    filename: new URL('./worker.mjs', import.meta.url).href,
    minThreads: workers,
    maxThreads: workers,
    workerData: { octaves: Number(args.octaves) },
  });
}

const pool = openPool();
const names = { noop: 'noop', full: 'cascade', summary: 'cascade', ticks: 'tick', echo1k: 'echo', echo64k: 'echo', echo1m: 'echo' };
let inputs;

function setInputs({ inputs: { state, nodes, sizes, mixed } }) {
  inputs = {
    noop: undefined,
    full: { ...state, detail: 'full' },
    summary: { ...state, detail: 'summary' },
    ticks: {
      now: nodes.now_ms,
      frequency: Float64Array.from(nodes.frequency),
      strength: Float64Array.from(nodes.strength),
      attached: Uint32Array.from(nodes.attached),
      pattern: Float64Array.from(nodes.pattern),
    },
    mixed,
  };
  for (const [workload, size] of Object.entries(sizes)) {
    inputs[workload] = new Uint8Array(size).map((_, i) => i * 7);
  }
  return {};
}

const one = (workload) => pool.run(inputs[workload], { name: names[workload] });

// tasks returns a function that begins the i-th task of a workload.
function tasks(workload) {
  if (workload !== 'mixed') return () => one(workload);
  const { mixed } = inputs;
  return (i) => one(mixed[i % mixed.length]);
}

async function check({ states, echo, ticks }) {
  const answer = {};
  if (states) answer.results = await Promise.all(states.map((s) => pool.run(s, { name: 'cascade' })));
  if (ticks) {
    const got = await one('ticks');
    answer.nodes = { strength: [...got.strength], pattern: [...got.pattern], progress: [] };
    got.progress.forEach((p, i) => p && answer.nodes.progress.push(i));
  }
  if (echo) {
    const sent = inputs[echo];
    const got = await one(echo);
    if (Buffer.compare(got, sent) !== 0) throw new Error(`${echo}: came back as something else`);
  }
  return answer;
}

async function closed({ workload, callers, ms }) {
  const task = tasks(workload);
  let calls = 0;
  const begin = performance.now();
  const end = begin + ms;
  const caller = async (first) => {
    for (let i = first; performance.now() < end; i++) {
      await task(i);
      calls++;
    }
  };
  await Promise.all(Array.from({ length: callers }, (_, i) => caller(i)));
  return { calls, seconds: (performance.now() - begin) / 1000 };
}

// random is a generator of numbers within 0 and 1 that are the same each time.
function random() {
  let state = 1;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function open({ workload, rate, ms }) {
  const task = tasks(workload);
  const latency = createHistogram({ highest: 600e9, figures: 3 });
  const late = createHistogram({ highest: 600e9, figures: 3 });
  const record = (histogram, took) => histogram.record(Math.max(1, Math.round(took * 1e6)));
  const next = random();
  const under = [];
  const begin = performance.now();
  let due = 0;
  let calls = 0;
  await new Promise((resolve) => {
    const pump = () => {
      for (let now = performance.now() - begin; due <= now && due < ms; now = performance.now() - begin) {
        const at = due;
        record(late, now - at);
        under.push(task(calls++).then(() => record(latency, performance.now() - begin - at)));
        due += (-Math.log(1 - next()) / rate) * 1000;
      }
      if (due >= ms) resolve();
      // A timer of Node's is a millisecond late; what is due sooner is waited for by
      // turns of the event loop.
      else if (due - (performance.now() - begin) > 2) setTimeout(pump, 1);
      else setImmediate(pump);
    };
    pump();
  });
  await Promise.all(under);
  const at = (share) => latency.percentile(100 * share);
  return {
    calls,
    seconds: (performance.now() - begin) / 1000,
    p50: at(0.5),
    p99: at(0.99),
    p999: at(0.999),
    late_p99: late.percentile(99),
  };
}

// again measures the time to a first answer of another pool in this process.
async function again({ states }) {
  const begin = performance.now();
  const other = openPool();
  await other.run(states[0], { name: 'cascade' });
  const seconds = (performance.now() - begin) / 1000;
  await other.destroy();
  return { seconds };
}

const operations = { inputs: setInputs, check, closed, open, again };

for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  let answer;
  try {
    answer = await operations[request.op](request);
  } catch (error) {
    answer = { error: String(error?.stack ?? error) };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
await pool.destroy();
