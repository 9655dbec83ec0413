/** The cities on the map: circles sized by packets, and one circle for cities that are close to each other. */

import { cluster } from "./clusters.js";
import { $, keyed, makeSvg, put, setText } from "./elements.js";
import { project } from "./projection.js";
import { moveFocus, setTabStop } from "./roving.js";
import { count, moment, whole } from "./text.js";
import { tooltip } from "./tooltip.js";
import { toggleFilter } from "./view.js";
import { viewport } from "./viewport.js";

/** Pixels between two circles, which is also the size of the area of a click. */
const APART = 26;
/** Pixels of the radius of the lightest and of the heaviest circle. */
const [SMALLEST, LARGEST] = [2.5, APART / 2];

const keyOf = ({ city, latitude, longitude }) => `${latitude} ${longitude} ${city}`;

export const cities = {
  points: [],
  order: [],

  build(svg) {
    this.group = svg.appendChild(makeSvg("g", { role: "group", "aria-label": "Cities" }));
    viewport.onChange(() => this.draw());
  },

  update(overview) {
    const names = new Map(overview.countries.map((row) => [row.value, row.name]));
    this.points = overview.places.rows.map((row) => {
      const [x, y] = project(row.latitude, row.longitude, viewport.map);
      return { ...row, x, y, name: row.city || names.get(row.country) || row.country, of: names.get(row.country) ?? row.country };
    });
    this.drawn = null;
    this.draw();
    setText($("cities-note"), note(overview));
  },

  /** Draws the circles again if they or the scale have changed. */
  draw() {
    const unit = viewport.unit();
    if (unit === 0 || this.drawn === unit) return;
    this.drawn = unit;
    const clusters = cluster(this.points, APART * unit);
    const heaviest = Math.max(1, ...clusters.map((found) => found.packets));
    const focused = this.order.find((mark) => mark === document.activeElement);
    keyed(this.group, clusters, (found) => keyOf(found.first), buildMark, (mark, found) => {
      const radius = SMALLEST + (LARGEST - SMALLEST) * Math.sqrt(found.packets / heaviest);
      updateMark(mark, found, unit, radius);
    });
    this.order = clusters.map((found) => this.group.known.get(keyOf(found.first)));
    put(this.group, "aria-hidden", clusters.length === 0 ? true : null);
    setTabStop(this.order);
    if (focused && !this.order.includes(focused)) {
      // The focused city is now part of a cluster.
      const key = keyOf(focused.cluster.first);
      this.order[clusters.findIndex((found) => found.points.some((point) => keyOf(point) === key))]?.focus({ preventScroll: true });
      this.drawn = null;
      this.draw();
    }
  },

  /** Filters by the country of a city, or enlarges a cluster until it divides. */
  choose({ cluster: { first, points } }) {
    if (points.length === 1 || viewport.isLargest()) return toggleFilter("country", first.country);
    const [xs, ys] = [points.map((point) => point.x), points.map((point) => point.y)];
    viewport.fit(Math.min(...xs), Math.min(...ys), Math.max(...xs), Math.max(...ys));
  },

  /** Moves the focus if `event` is an arrow key on a city. */
  key(event) {
    const next = moveFocus(event, this.order);
    if (next) viewport.reveal(next.cluster.first.x, next.cluster.first.y);
  },
};

function buildMark() {
  const mark = makeSvg("g", { class: "city", role: "button" });
  mark.append(makeSvg("circle", { class: "area", r: APART / 2 }), makeSvg("circle", { class: "ring" }), makeSvg("circle", { class: "dot" }));
  return mark;
}

function updateMark(mark, found, unit, radius) {
  const { first, points, packets } = found;
  const [, ring, dot] = mark.children;
  put(mark, "transform", `translate(${first.x.toFixed(3)} ${first.y.toFixed(3)}) scale(${unit.toFixed(5)})`);
  put(ring, "r", points.length > 1 ? (radius + 2.5).toFixed(1) : 0);
  put(dot, "r", radius.toFixed(1));
  mark.cluster = found;
  const more = points.length - 1;
  const name = more ? `${first.name} and ${whole.format(more)} more ${more === 1 ? "city" : "cities"}` : first.name;
  const enlarges = more > 0 && !viewport.isLargest();
  const country = first.of === first.name ? "" : first.of;
  mark.tooltip = [name, `${whole.format(packets)} packets`, enlarges ? "click to zoom in" : country];
  put(mark, "aria-label", [name, more ? "" : country, `${whole.format(packets)} packets`, enlarges ? "zooms in" : ""].filter(Boolean).join(", "));
}

/** What the circles do not show. */
function note({ places: { rows, more, packets, since }, window }) {
  if (rows.length === 0) return "";
  const texts = [];
  if (since !== undefined) texts.push(`Cities are those of the newest ${whole.format(packets)} packets, since ${moment(since, window.seconds)}`);
  if (more.values > 0) texts.push(`${whole.format(more.values)} more cities with ${count(more.packets)} packets are not shown`);
  return texts.join("; ");
}
