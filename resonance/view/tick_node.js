// How the dashboard shows tick.node: an argument to begin with.

export const example = { now_ms: 1000, nodes: [{ id: 'a', frequency: 528, resonance_strength: 0.09, harmonic_patterns: ['golden_ratio_harmonics'] }] };
