// How the dashboard shows cascade: a form for its argument, and charts of its result.

const measure = (title, description) => ({ type: 'number', title, description });

/** input describes the argument for a form. */
export const input = {
  type: 'object',
  properties: {
    awarenessLevel: measure('Awareness level'),
    coherenceScore: measure('Coherence score'),
    phiValue: measure('Phi', 'The golden ratio is 1.618, its inverse 0.618'),
    emotionalResonance: measure('Emotional resonance'),
    creativeEmergence: measure('Creative emergence'),
    detail: { enum: ['full', 'summary'], title: 'Detail', description: 'A summary has no harmonics' },
  },
};

/** example is what the form begins with. */
export const example = { awarenessLevel: 0.42, coherenceScore: 0.9, phiValue: 2.2, detail: 'summary' };

const share = (v) => Number(v).toFixed(2);

/** The default export draws a result. */
export default function draw(result, { h, bars, columns, table }) {
  const octaves = result.octaveAnalysis.map((o) => ({ name: String(o.octave + 1), value: o.resonance }));
  const emotions = Object.entries(result.emotionalResonance).map(([name, value], i) => ({ name, value, color: i }));
  const patterns = Object.entries(result.creativePatterns).map(([name, value]) => ({ name: words(name), value, color: 4 }));
  const waves = result.standingWaves.nodes.map((n) => [n.frequencies.map((f) => `${f.toFixed(1)} Hz`).join(' and '), n.ratio.toFixed(2), share(n.strength)]);
  return h('div', { class: 'drawing' },
    h('dl', { class: 'tiles mini' },
      tile(h, 'Harmonic score', share(result.harmonicScore), result.resonanceQuality),
      tile(h, 'Dominant emotion', result.dominantEmotion.emotion, share(result.dominantEmotion.strength)),
      tile(h, 'Convergence', share(result.convergence.overallConvergence), `${result.convergence.points.length} points`)),
    h('h3', {}, 'Octave resonance'), columns({ label: 'Resonance by octave', items: octaves, unit: share }),
    h('h3', {}, 'Emotional spectrum'), bars({ label: 'Emotional spectrum', items: emotions, most: Math.max(1, ...emotions.map((e) => e.value)), unit: share }),
    h('h3', {}, 'Creative patterns'), bars({ label: 'Creative patterns', items: patterns, most: Math.max(1, ...patterns.map((p) => p.value)), unit: share }),
    waves.length > 0 && [h('h3', {}, 'Standing waves'), table('Pairs of frequencies with a whole ratio', ['Frequencies', 'Ratio', 'Strength'], waves)]);
}

function tile(h, name, value, note) {
  return h('div', { class: 'tile' }, h('dt', {}, name), h('dd', { class: 'figure' }, value), h('dd', { class: 'note' }, note));
}

// words of a name: harmonicRichness is "harmonic richness".
const words = (name) => name.replace(/[A-Z]/g, (c) => ` ${c.toLowerCase()}`);
