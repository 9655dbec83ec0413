/** Numbers, times and sizes as the page writes them: in the form of the browser's language. */

/** Formats of the browser's language, which `undefined` stands for. */
const format = (options) => new Intl.NumberFormat(undefined, options);
export const whole = format({ maximumFractionDigits: 0 });
const compact = format({ notation: "compact", maximumSignificantDigits: 3 });
const tenths = format({ minimumFractionDigits: 1, maximumFractionDigits: 1 });
const percent = format({ style: "percent", maximumFractionDigits: 0 });
const percentTenths = format({ style: "percent", minimumFractionDigits: 1, maximumFractionDigits: 1 });

export const count = (value) => (value < 1e6 ? whole.format(value) : compact.format(value));

/** Packets per second: three digits, and never "0" for a rate above zero. */
export function rate(value) {
  if (value === 0) return whole.format(0);
  if (value < 0.1) return `<${tenths.format(0.1)}`;
  if (value < 100) return tenths.format(value);
  return value < 10000 ? whole.format(Math.round(value)) : compact.format(value);
}

/** The part that packets are of all, in percent. */
export function share(part, all) {
  const ratio = all > 0 ? part / all : 0;
  return ratio > 0 && ratio < 0.001 ? `<${percentTenths.format(0.001)}` : percentTenths.format(ratio);
}

/** A ratio in whole percent. */
export const percentage = (ratio) => percent.format(ratio);

/** How many times something is enlarged. */
export const times = (factor) => `${factor < 10 ? tenths.format(factor) : whole.format(factor)}×`;

export function ago(seconds) {
  if (seconds < 90) return `${whole.format(seconds)} s`;
  if (seconds < 5400) return `${whole.format(seconds / 60)} min`;
  return seconds < 129600 ? `${whole.format(seconds / 3600)} h` : `${whole.format(seconds / 86400)} d`;
}

/** A time of day, with the date if the range of time is longer than a day. */
export function moment(unix, seconds) {
  const date = seconds > 86400 || Date.now() / 1000 - unix > 86400 ? { month: "short", day: "numeric" } : {};
  const second = seconds > 3600 ? {} : { second: "2-digit" };
  return new Date(unix * 1000).toLocaleString(undefined, { ...date, hour: "2-digit", minute: "2-digit", ...second });
}

/** The time of day of a number of milliseconds. */
export const clock = (milliseconds) => new Date(milliseconds).toLocaleTimeString();

/** The day of a number of seconds since 1970-01-01 UTC. */
export const day = (unix) => new Date(unix * 1000).toLocaleDateString(undefined, { dateStyle: "medium", timeZone: "UTC" });

export function bytes(value) {
  const steps = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(steps.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${(step && value / 1024 ** step < 100 ? tenths : whole).format(value / 1024 ** step)} ${steps[step]}`;
}
