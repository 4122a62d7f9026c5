// What views and pages of other packages build with.

export { h, s, put, renew, say, keyed, table, card, empty } from './dom.js';
export * as format from './format.js';
export { bars, columns, heat, lines } from './charts.js';
export { get, request, Problem } from './api.js';
export { guard } from './rights.js';
export { sure } from './session.js';
export { live, poll, watch, refresh } from './live.js';
export { feed, hear } from './feed.js';
