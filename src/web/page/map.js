/** The map: countries shaded by their packets, and cities as points. */

import { $, keyed, make, makeSvg, put, setText } from "./elements.js";
import { project } from "./projection.js";
import { recentRate } from "./rates.js";
import { count, rate, share, whole } from "./text.js";
import { tooltip } from "./tooltip.js";
import { onChange, toggleFilter, view } from "./view.js";

/** Shades of the countries. */
const LEVELS = 6;

export const world = {
  shapes: new Map(),
  group: null,
  places: null,

  /** The outlines are a separate file, which the browser caches. */
  async build() {
    const answer = await fetch("world.svg");
    if (!answer.ok) throw new Error(`world.svg: status ${answer.status}`);
    const parsed = new DOMParser().parseFromString(await answer.text(), "image/svg+xml").documentElement;
    const svg = document.importNode(parsed, true);
    this.bounds = svg.viewBox.baseVal;
    for (const part of svg.querySelectorAll("path, circle")) {
      const code = part.dataset.code;
      if (code) this.shapes.set(code, part);
      else part.classList.add("uncoded");
    }
    put(svg, "role", "group");
    put(svg, "aria-label", "World map. The arrow keys select countries, the one with the most packets first; Enter filters by it. The table has the same numbers.");
    for (const group of svg.querySelectorAll("g")) {
      group.removeAttribute("fill");
      group.removeAttribute("stroke");
    }
    this.group = svg;
    this.places = svg.appendChild(makeSvg("g", { "aria-hidden": "true" }));
    $("map").append(svg);
    onChange(() => this.showChosen());
    svg.addEventListener("click", (event) => this.choose(event.target));
    svg.addEventListener("keydown", (event) => this.key(event));
    svg.addEventListener("pointermove", (event) => tooltip.over(event.target, event.clientX, event.clientY));
    svg.addEventListener("pointerleave", () => tooltip.hide());
    svg.addEventListener("focusin", (event) => {
      if (!event.target.matches(":focus-visible")) return;
      const box = event.target.getBoundingClientRect();
      tooltip.over(event.target, box.left + box.width / 2, box.top + box.height / 2);
    });
    svg.addEventListener("focusout", () => tooltip.hide());
  },

  choose(target) {
    if (target.dataset?.level) toggleFilter("country", target.dataset.code);
    else if (target.place) toggleFilter("country", target.place.country);
  },

  key(event) {
    const target = event.target;
    if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this.choose(target);
    }
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!step || !this.order?.length) return;
    event.preventDefault();
    const at = this.order.indexOf(target.dataset.code);
    const next = this.shapes.get(this.order[(at + step + this.order.length) % this.order.length]);
    put(target, "tabindex", -1);
    put(next, "tabindex", 0);
    next.focus();
  },

  update(overview) {
    if (!this.group) return;
    const located = overview.countries.filter((row) => this.shapes.has(row.value) && row.packets > 0);
    const maximum = Math.max(10, ...located.map((row) => row.packets));
    // Logarithmic levels: each is this many times the previous one, so that few countries have the highest.
    const step = Math.min(4, maximum ** (1 / LEVELS));
    const all = overview.countries.reduce((sum, row) => sum + row.packets, 0);
    const focused = document.activeElement?.dataset?.code;
    const seen = new Set();
    this.order = located.map((row) => row.value);
    const stop = this.order.includes(focused) ? focused : this.order[0];
    for (const row of located) {
      const shape = this.shapes.get(row.value);
      seen.add(row.value);
      put(shape, "data-level", Math.max(1, LEVELS - Math.floor(Math.log(maximum / row.packets) / Math.log(step))));
      put(shape, "role", "button");
      put(shape, "tabindex", row.value === stop ? 0 : -1);
      put(shape, "aria-label", `${row.name}, ${whole.format(row.packets)} packets, ${share(row.packets, all)}`);
      shape.tooltip = [row.name, `${whole.format(row.packets)} packets`, `${rate(recentRate(row, overview))}/s · ${share(row.packets, all)} of all`];
    }
    for (const [code, shape] of this.shapes) {
      if (seen.has(code)) continue;
      for (const name of ["data-level", "role", "tabindex", "aria-pressed", "aria-label"]) put(shape, name, null);
      shape.tooltip = null;
    }
    this.updatePlaces(overview);
    this.legend(located.length > 0 ? maximum : 0, overview.places.length > 0);
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

  updatePlaces(overview) {
    const heaviest = Math.max(1, ...overview.places.map((place) => place.packets));
    keyed(
      this.places,
      overview.places,
      (place) => `${place.latitude} ${place.longitude} ${place.city}`,
      () => makeSvg("circle", { class: "place" }),
      (circle, place) => {
        const [x, y] = project(place.latitude, place.longitude, this.bounds);
        put(circle, "cx", x.toFixed(1));
        put(circle, "cy", y.toFixed(1));
        put(circle, "r", (1.2 + 5 * Math.sqrt(place.packets / heaviest)).toFixed(2));
        circle.place = place;
        circle.tooltip = [place.city || place.country, `${whole.format(place.packets)} packets`, place.country];
      },
    );
  },

  legend(maximum, cities) {
    const key = `${maximum} ${cities}`;
    if (this.legendKey === key) return;
    this.legendKey = key;
    const parts = [];
    if (maximum > 0) {
      parts.push(make("b", "", "1"));
      for (let level = 1; level <= LEVELS; level += 1) {
        const step = make("i");
        step.dataset.level = level;
        parts.push(step);
      }
      parts.push(make("b", "", `${count(maximum)} packets`));
    }
    if (cities) parts.push(make("i", "dot"), make("b", "", "city"));
    $("legend").replaceChildren(...parts);
  },
};
