// Advancing nodes by a tick, from the formulas in the documentation of the package
// plugins/tick, over typed arrays: a pool clones those by copying memory.

const PHI = 1.618033988749;

const wave = (x) => 0.5 * Math.sin(x) + 0.5;

export function tick({ now, frequency, strength, attached, pattern }) {
  const seconds = now / 1000;
  const common = wave(seconds * PHI);
  const nodes = new Float64Array(strength.length);
  const patterns = Float64Array.from(pattern);
  const progress = new Uint8Array(strength.length);
  for (let i = 0; i < nodes.length; i++) {
    const f = frequency[i];
    const s = Math.min(1, strength[i] + 0.01 * (f / 100) * common);
    nodes[i] = s;
    progress[i] = Math.floor(s * 1000) % 100 === 0 ? 1 : 0;
    const p = attached[i];
    patterns[p] = Math.min(1, patterns[p] + 0.001 * wave((seconds * f) / 100));
  }
  return { strength: nodes, pattern: patterns, progress };
}
