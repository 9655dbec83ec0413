/** From the slices of the overview to rates and their changes. */

import { count, percentage } from "./text.js";
import { RANGES } from "./view.js";

/** Minimum part of a running slice from which a rate can be extrapolated. */
const MIN_RUNNING = 0.2;

/** Whether the running slice is omitted. */
export function isTooShort({ seconds, slices, running }) {
  return running < (MIN_RUNNING * seconds) / slices;
}

/**
 * A timeline of full slices. The running slice is shorter than the others, so it is extrapolated, or omitted
 * while it is too short.
 */
export function full(timeline, { window }) {
  const { seconds, slices, running } = window;
  const past = timeline.slice(0, -1);
  return isTooShort(window) ? past : [...past, (timeline.at(-1) * seconds) / slices / running];
}

/** The seconds of a range that have passed: its last slice is running. */
function covered({ seconds, slices, running }) {
  return seconds - seconds / slices + running;
}

/** Packets a second over the last half minute of the shortest range, or over all of another one or of a capture. */
export function recentRate(row, overview) {
  const { seconds, slices, capture, range } = overview.window;
  if (capture || !row.timeline || (range && range !== RANGES[0].name)) return row.packets / covered(overview.window);
  const latest = full(row.timeline, overview).slice(-3);
  return latest.reduce((sum, value) => sum + value, 0) / (latest.length * (seconds / slices));
}

/**
 * The packets of a row against those in the previous range of the same length: [text, start of a text for screen readers],
 * both empty if they are not known.
 */
export function change({ packets, before }, { window }) {
  if (before === undefined || packets === 0) return ["", ""];
  if (before === 0) return ["new", "none in the previous"];
  const ratio = packets / ((before * covered(window)) / window.seconds);
  const difference = Math.abs(ratio - 1);
  if (difference < 0.005) return ["≈", "as in the previous"];
  const more = ratio > 1;
  if (more && ratio >= 10) return [`▲ ${count(Math.round(ratio))}×`, `${count(Math.round(ratio))} times as many as in the previous`];
  return [`${more ? "▲" : "▼"} ${percentage(difference)}`, `${percentage(difference)} ${more ? "more" : "less"} than in the previous`];
}

/** The unit of rates in an overview: [its text, the seconds in it]. */
export function unit({ window: { seconds, capture } }) {
  return seconds > 3600 && !capture ? ["per hour", 3600] : ["per second", 1];
}
