/** Numbers, times and sizes as the page writes them. */

export const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
export const count = (value) => (value < 1e6 ? whole.format(value) : compact.format(value));

/** Packets per second: three digits, and never "0" for a rate above zero. */
export function rate(value) {
  if (value === 0) return "0";
  if (value < 0.1) return "<0.1";
  if (value < 100) return value.toFixed(1);
  return value < 10000 ? whole.format(Math.round(value)) : compact.format(value);
}

export function share(part, all) {
  const percent = all > 0 ? (100 * part) / all : 0;
  return `${percent > 0 && percent < 0.1 ? "<0.1" : percent.toFixed(1)} %`;
}

export function ago(seconds) {
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  return seconds < 129600 ? `${Math.round(seconds / 3600)} h` : `${Math.round(seconds / 86400)} d`;
}

/** A time of day, with the date if the range of time is longer than a day. */
export function moment(unix, seconds) {
  const date = seconds > 86400 || Date.now() / 1000 - unix > 86400 ? { month: "short", day: "numeric" } : {};
  const second = seconds > 3600 ? {} : { second: "2-digit" };
  return new Date(unix * 1000).toLocaleString([], { ...date, hour: "2-digit", minute: "2-digit", ...second, hour12: false });
}

export function bytes(value) {
  const steps = ["B", "KiB", "MiB", "GiB", "TiB"];
  const step = Math.min(steps.length - 1, Math.floor(Math.log2(Math.max(1, value)) / 10));
  return `${(value / 1024 ** step).toFixed(step && value / 1024 ** step < 100 ? 1 : 0)} ${steps[step]}`;
}
