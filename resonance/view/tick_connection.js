// How the dashboard shows tick.connection: an argument to begin with.

export const example = { a: { frequency: 432 }, b: { frequency: 528, position: { x: 3, y: 4 } } };
