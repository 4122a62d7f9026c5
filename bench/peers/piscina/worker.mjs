import { move, workerData } from 'piscina';

import { cascade as analyse } from './cascade.mjs';
import { tick as advance } from './tick.mjs';

const { octaves } = workerData;

// What is large goes back by handing over its memory, as Piscina advises; for what is
// small that costs more than the copy.
const LARGE = 16 << 10;

export function noop() {}

export function echo(bytes) {
  return bytes.length >= LARGE ? move(bytes) : bytes;
}

export function cascade(state) {
  return analyse(state, octaves);
}

export function tick(nodes) {
  return advance(nodes);
}
