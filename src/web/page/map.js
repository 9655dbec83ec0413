/** The map: countries shaded by their packets, and the events of its countries and cities. */

import { cities } from "./cities.js";
import { $, make, put, setText } from "./elements.js";
import { buildGestures } from "./gestures.js";
import { recentRate } from "./rates.js";
import { moveFocus, setTabStop } from "./roving.js";
import { count, rate, share, whole } from "./text.js";
import { tooltip } from "./tooltip.js";
import { onChange, toggleFilter, view } from "./view.js";
import { viewport } from "./viewport.js";

/** Shades of the countries. */
const LEVELS = 6;

/** The city or the country at an element, or the element itself. */
const markOf = (target) => target.closest(".city, [data-code]") ?? target;

export const world = {
  shapes: new Map(),
  group: null,
  /** The countries with packets, in descending order. */
  order: [],

  /** The outlines are a separate file, which the browser caches. */
  async build() {
    const answer = await fetch("world.svg");
    if (!answer.ok) throw new Error(`world.svg: status ${answer.status}`);
    const parsed = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
    const svg = document.importNode(parsed, true);
    for (const shape of svg.querySelectorAll("[data-code]")) this.shapes.set(shape.dataset.code, shape);
    put(svg, "role", "group");
    put(svg, "aria-label", "World map. The arrow keys select countries, the one with the most packets first; Enter filters by it. The table has the same numbers.");
    for (const group of svg.querySelectorAll("g")) {
      group.removeAttribute("fill");
      group.removeAttribute("stroke");
    }
    this.group = svg;
    $("map").prepend(svg);
    viewport.build(svg);
    cities.build(svg);
    buildGestures();
    viewport.onChange(() => tooltip.hide());
    onChange(() => this.showChosen());
    svg.addEventListener("click", (event) => this.choose(event.target));
    svg.addEventListener("keydown", (event) => this.key(event));
    svg.addEventListener("pointermove", (event) => tooltip.over(markOf(event.target), event.clientX, event.clientY));
    svg.addEventListener("pointerleave", () => tooltip.hide());
    // Chromium makes an SVG with such listeners a stop of the Tab key.
    $("map").addEventListener("focusin", (event) => {
      if (!event.target.matches(":focus-visible")) return;
      const box = event.target.getBoundingClientRect();
      tooltip.over(event.target, box.left + box.width / 2, box.top + box.height / 2);
    });
    $("map").addEventListener("focusout", () => tooltip.hide());
  },

  choose(target) {
    const mark = markOf(target);
    if (mark.cluster) cities.choose(mark);
    else if (mark.dataset.level) toggleFilter("country", mark.dataset.code);
  },

  key(event) {
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(event.target);
      return;
    }
    cities.key(event);
    const next = moveFocus(event, this.order);
    if (!next) return;
    const { x, y, width, height } = next.getBBox();
    viewport.reveal(x + width / 2, y + height / 2);
  },

  update(overview) {
    if (!this.group) return;
    const located = overview.countries.filter((row) => this.shapes.has(row.value) && row.packets > 0);
    const maximum = Math.max(10, ...located.map((row) => row.packets));
    // Logarithmic levels: each is this many times the previous one, so that few countries have the highest.
    const step = Math.min(4, maximum ** (1 / LEVELS));
    const all = overview.countries.reduce((sum, row) => sum + row.packets, 0);
    const seen = new Set();
    this.order = located.map((row) => this.shapes.get(row.value));
    for (const row of located) {
      const shape = this.shapes.get(row.value);
      seen.add(row.value);
      put(shape, "data-level", Math.max(1, LEVELS - Math.floor(Math.log(maximum / row.packets) / Math.log(step))));
      put(shape, "role", "button");
      put(shape, "aria-label", `${row.name}, ${whole.format(row.packets)} packets, ${share(row.packets, all)}`);
      shape.tooltip = [row.name, `${whole.format(row.packets)} packets`, `${rate(recentRate(row, overview))}/s · ${share(row.packets, all)} of all`];
    }
    for (const [code, shape] of this.shapes) {
      if (seen.has(code)) continue;
      for (const name of ["data-level", "role", "tabindex", "aria-pressed", "aria-label"]) put(shape, name, null);
      shape.tooltip = null;
    }
    setTabStop(this.order);
    cities.update(overview);
    this.legend(located.length > 0 ? maximum : 0, overview.places.rows.length > 0);
    const off = overview.countries.filter((row) => !row.iso3).map((row) => `${row.name} ${count(row.packets)}`);
    setText($("elsewhere"), off.length > 0 ? `Not on the map: ${off.join(" · ")}` : "");
    this.showChosen();
    tooltip.refresh();
  },

  /** Marks the country of the filter. */
  showChosen() {
    const chosen = view.filter.get("country");
    this.group.classList.toggle("chosen", chosen !== undefined);
    for (const [code, shape] of this.shapes) {
      if (shape.dataset.level) put(shape, "aria-pressed", code === chosen);
    }
  },

  legend(maximum, hasCities) {
    const key = `${maximum} ${hasCities}`;
    if (this.legendKey === key) return;
    this.legendKey = key;
    const parts = [];
    if (maximum > 0) {
      parts.push(make("b", "", whole.format(1)));
      for (let level = 1; level <= LEVELS; level += 1) {
        const step = make("i");
        step.dataset.level = level;
        parts.push(step);
      }
      parts.push(make("b", "", `${count(maximum)} packets`));
    }
    for (const [sign, text] of hasCities ? [["dot", "city"], ["dot ring", "several cities"]] : []) {
      const key = make("span");
      key.append(make("i", sign), make("b", "", text));
      parts.push(key);
    }
    $("legend").replaceChildren(...parts);
  },
};
