// How the dashboard shows tick.network: an argument to begin with.

export const example = { now_ms: 1000, network: { metrics: {}, fields: {}, patterns: {} } };
