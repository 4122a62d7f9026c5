// Harmonic resonance analysis of one state, from the formulas in the documentation of
// the package plugins/cascade. Doing all octaves is what the transform did before it
// became a plugin; doing one is what it takes, since all octaves resonate alike.

const PHI = 1.618033988749895;
const OCTAVES = 8;
const HARMONICS = 5;
const THRESHOLD = 0.7;
const SPECIAL = [1, 2, 3 / 2, 4 / 3, 5 / 4, 5 / 3, 8 / 5];
const BASES = [
  ['awarenessLevel', 432],
  ['coherenceScore', 528],
  ['phiValue', 741],
  ['emotionalResonance', 639],
  ['creativeEmergence', 852],
];
const EMOTIONS = [
  ['joy', 528, '#FFD700'],
  ['love', 639, '#FF69B4'],
  ['peace', 741, '#87CEEB'],
  ['insight', 852, '#9370DB'],
  ['unity', 963, '#FFFFFF'],
];

function closeness(v, to) {
  return Math.max(0, 1 - Math.abs(v - to) / to);
}

function score(r) {
  for (let i = 0; i < SPECIAL.length; i++) {
    if (Math.abs(r - SPECIAL[i]) < 0.01) return 1;
  }
  if (Math.abs(r - PHI) < 0.01 || Math.abs(r - 1 / PHI) < 0.01) return 0.9;
  const d = r - Math.round(r);
  return Math.exp(-10 * d * d);
}

function harmonicsOf(frequencies) {
  const all = [];
  for (const f of frequencies) {
    for (let n = 1; n <= HARMONICS; n++) {
      all.push({ frequency: f * n, amplitude: 1 / n, phase: (n * Math.PI) / 4 });
    }
  }
  return all;
}

function resonanceOf(harmonics) {
  let sum = 0;
  for (let i = 0; i < harmonics.length; i++) {
    const a = harmonics[i];
    for (let j = i + 1; j < harmonics.length; j++) {
      const b = harmonics[j];
      sum += score(a.frequency / b.frequency) * a.amplitude * b.amplitude;
    }
  }
  return Math.min(1, sum / harmonics.length);
}

function alignmentOf(frequencies) {
  let sum = 0;
  let pairs = 0;
  for (let i = 0; i < frequencies.length; i++) {
    for (let j = i + 1; j < frequencies.length; j++) {
      sum += closeness(frequencies[i] / frequencies[j], PHI);
      pairs++;
    }
  }
  return pairs ? sum / pairs : 0;
}

// octavesOf analyses as many octaves as say; the others resonate as the first does.
function octavesOf(base, analysed, full) {
  const octaves = [];
  for (let k = 0; k < OCTAVES; k++) {
    const frequencies = base.map((f) => f * 2 ** k);
    const octave = { octave: k, frequencies };
    if (k < analysed) {
      const harmonics = harmonicsOf(frequencies);
      if (full) octave.harmonics = harmonics;
      octave.resonance = resonanceOf(harmonics);
      octave.goldenRatioAlignment = alignmentOf(base);
    } else {
      if (full) octave.harmonics = harmonicsOf(frequencies);
      octave.resonance = octaves[0].resonance;
      octave.goldenRatioAlignment = octaves[0].goldenRatioAlignment;
    }
    octaves.push(octave);
  }
  return octaves;
}

function converge(octaves) {
  const points = [];
  let maxStrength = 0;
  for (let k = 0; k + 1 < octaves.length; k++) {
    const a = octaves[k];
    const b = octaves[k + 1];
    if (a.resonance > THRESHOLD && b.resonance > THRESHOLD) {
      const strength = (a.resonance + b.resonance) / 2;
      points.push({
        octaves: [k, k + 1],
        strength,
        goldenAlignment: (a.goldenRatioAlignment + b.goldenRatioAlignment) / 2,
      });
      maxStrength = Math.max(maxStrength, strength);
    }
  }
  return { points, overallConvergence: points.length / (OCTAVES - 1), maxStrength };
}

function feel(base) {
  const strengths = {};
  let dominant = { emotion: 'neutral', strength: 0, color: '#CCCCCC' };
  for (const [emotion, e, color] of EMOTIONS) {
    let sum = 0;
    for (const f of base) {
      sum += closeness(f, e);
      for (let h = 2; h <= 4; h++) sum += 0.5 * closeness(f, e * h);
    }
    const strength = sum / base.length;
    strengths[emotion] = strength;
    if (strength > dominant.strength) dominant = { emotion, strength, color };
  }
  return [strengths, dominant];
}

// create is without the novelty of a stream: these tasks have none.
function create(octaves, convergence) {
  const p = octaves.map((o) => o.resonance);
  let depth = 0;
  for (let i = 0; i < OCTAVES - 2; i++) {
    const q1 = p[i + 1] / p[i];
    const q2 = p[i + 2] / p[i + 1];
    depth += Math.max(0, 1 - Math.abs(q1 - q2) / Math.max(q1, q2));
  }
  const mean = p.reduce((a, b) => a + b, 0) / OCTAVES;
  const variance = p.reduce((a, b) => a + (b - mean) ** 2, 0) / OCTAVES;
  return {
    fractalDepth: depth / (OCTAVES - 2),
    rhythmicComplexity: Math.min(1, 2 * Math.sqrt(variance)),
    harmonicRichness: convergence.overallConvergence * convergence.maxStrength,
    emergentNovelty: 0.5,
  };
}

function stand(base) {
  const nodes = [];
  let pairs = 0;
  for (let i = 0; i < base.length; i++) {
    for (let j = i + 1; j < base.length; j++) {
      pairs++;
      const r = base[i] / base[j];
      const ratio = Math.round(r);
      const off = Math.abs(r - ratio);
      if (off < 0.01) nodes.push({ frequencies: [base[i], base[j]], ratio, strength: 1 - off });
    }
  }
  return { detected: nodes.length > 0, nodes, antinodes: [], stability: pairs ? nodes.length / pairs : 0 };
}

function qualityOf(s) {
  if (s >= 0.9) return 'transcendent';
  if (s >= 0.7) return 'harmonious';
  if (s >= 0.5) return 'resonant';
  if (s >= 0.3) return 'emerging';
  return 'discordant';
}

export function cascade(state, analysed) {
  const base = [];
  for (const [name, hertz] of BASES) {
    if (state[name]) base.push(state[name] * hertz);
  }
  if (base.length === 0) base.push(432, 528, 639);
  const octaveAnalysis = octavesOf(base, analysed, state.detail !== 'summary');
  const convergence = converge(octaveAnalysis);
  const [emotionalResonance, dominantEmotion] = feel(base);
  const creativePatterns = create(octaveAnalysis, convergence);
  const standingWaves = stand(base);
  const c = creativePatterns;
  const creative = (c.fractalDepth + c.rhythmicComplexity + c.harmonicRichness + c.emergentNovelty) / 4;
  const resonance = octaveAnalysis.reduce((sum, o) => sum + o.resonance, 0) / OCTAVES;
  const harmonicScore = Math.min(
    1,
    0.25 * resonance +
      0.2 * convergence.overallConvergence +
      0.2 * dominantEmotion.strength +
      0.2 * creative +
      0.15 * standingWaves.stability,
  );
  return {
    timestamp: state.timestamp ?? 0,
    harmonicScore,
    octaveAnalysis,
    convergence,
    emotionalResonance,
    creativePatterns,
    standingWaves,
    dominantEmotion,
    resonanceQuality: qualityOf(harmonicScore),
  };
}
