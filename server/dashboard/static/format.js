// Figures for people.

const SI = [[1e9, 'G'], [1e6, 'M'], [1e3, 'k']];

/** number: 1234 is "1,234", 56789 is "56.8k". */
export function number(v) {
  if (!Number.isFinite(v)) return '–';
  const size = Math.abs(v);
  if (size >= 1e4) {
    const [unit, name] = SI.find(([least]) => size >= least);
    return trim(v / unit) + name;
  }
  if (Number.isInteger(v)) return v.toLocaleString('en');
  return size >= 1000 ? Math.round(v).toLocaleString('en') : trim(v);
}

function trim(v) {
  const size = Math.abs(v);
  if (size === 0) return '0';
  return String(Number(v.toPrecision(size >= 100 ? 3 : size >= 1 ? 3 : 2)));
}

/** rate is per second. */
export const rate = (v) => `${number(v)}/s`;

/** percent of a share. */
export const percent = (v) => (Number.isFinite(v) ? `${v > 0 && v < 0.01 ? '<1' : Math.round(v * 100)} %` : '–');

/** seconds: 0.0000123 is "12 µs". */
export function seconds(v) {
  if (!Number.isFinite(v)) return '–';
  if (v === 0) return '0 s';
  if (v < 1e-3) return `${trim(v * 1e6)} µs`;
  if (v < 1) return `${trim(v * 1e3)} ms`;
  return v < 120 ? `${trim(v)} s` : span(v * 1000);
}

/** bytes: 2097152 is "2 MiB". */
export function bytes(v) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let at = 0;
  while (v >= 1024 && at < units.length - 1) {
    v /= 1024;
    at++;
  }
  return `${trim(v)} ${units[at]}`;
}

/** clock is the time of day. */
export const clock = (date) => new Date(date).toLocaleTimeString('en-GB');

/** moment is date and time where the day is another, else the time. */
export function moment(date) {
  const d = new Date(date);
  return d.toDateString() === new Date().toDateString() ? clock(d) : `${d.toLocaleDateString('en-CA')} ${clock(d)}`;
}

/** instant is moment to the millisecond. */
export const instant = (date) => `${moment(date)}.${String(new Date(date).getMilliseconds()).padStart(3, '0')}`;

/** span of milliseconds: "12 s", "3 min", "2 h 5 min", "4 d". */
export function span(ms) {
  const all = Math.max(0, Math.floor(ms / 1000));
  if (all < 120) return `${all} s`;
  const minutes = Math.floor(all / 60);
  if (minutes < 120) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d`;
}

/** hash is the beginning of one. */
export const hash = (text) => (text ?? '').slice(0, 10);

/** plural: plural(2, 'task') is "2 tasks". */
export const plural = (n, noun) => `${number(n)} ${noun}${n === 1 ? '' : 's'}`;
