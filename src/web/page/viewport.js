/** The part of the map in view, in the units of the map. */

import { $, put, setText } from "./elements.js";
import { times } from "./text.js";

/** Pixels of a unit of the map at the largest scale: its outlines are then off by at most the radius of a large circle. */
const DETAIL = 45;
/** Milliseconds of a movement that a button, a key or a click starts. */
const DURATION = 250;
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

const clamp = (value, low, high) => Math.min(Math.max(value, low), high);

export const viewport = {
  /** The enlargement: at 1, the whole map is in view. */
  scale: 1,
  /** The centre. */
  x: 0,
  y: 0,
  listeners: [],

  build(svg) {
    this.svg = svg;
    const { width, height } = svg.viewBox.baseVal;
    this.map = { width, height };
    this.move({ scale: 1, x: width / 2, y: height / 2 });
    new ResizeObserver(() => this.changed()).observe(svg);
  },

  /** Calls `listener` after each change of what is in view or of its size. */
  onChange(listener) {
    this.listeners.push(listener);
  },

  changed() {
    this.showScale();
    for (const listener of this.listeners) listener();
  },

  /** Shows the scale, and which buttons can change it. */
  showScale() {
    $("map").classList.toggle("zoomed", this.scale > 1);
    put($("zoom-in"), "aria-disabled", this.isLargest());
    for (const id of ["zoom-out", "zoom-reset"]) put($(id), "aria-disabled", this.scale <= 1);
    setText($("zoom-level"), this.scale > 1 ? times(this.scale) : "");
  },

  /** The units of the whole map in a pixel; 0 while the map is not shown. */
  wholeUnit() {
    const { width, height } = this.svg.getBoundingClientRect();
    return width && height ? Math.max(this.map.width / width, this.map.height / height) : 0;
  },

  /** The units of the map in a pixel; 0 while the map is not shown. */
  unit() {
    return this.wholeUnit() / this.scale;
  },

  largestScale() {
    return Math.max(1, DETAIL * this.wholeUnit());
  },

  /** The position on the map below a position in the window. */
  positionAt(clientX, clientY) {
    const { left, top, width, height } = this.svg.getBoundingClientRect();
    const unit = this.unit();
    return [this.x + (clientX - left - width / 2) * unit, this.y + (clientY - top - height / 2) * unit];
  },

  /** Shows this part of the map, or the nearest one that does not reach beyond its edges. */
  move({ scale, x, y }) {
    const { width, height } = this.map;
    this.scale = clamp(scale, 1, this.largestScale());
    const [half, halfHeight] = [width / this.scale / 2, height / this.scale / 2];
    this.x = clamp(x, half, width - half);
    this.y = clamp(y, halfHeight, height - halfHeight);
    const box = [this.x - half, this.y - halfHeight, 2 * half, 2 * halfHeight];
    put(this.svg, "viewBox", box.map((value) => value.toFixed(3)).join(" "));
    this.svg.style.setProperty("--scale", this.scale);
    this.changed();
  },

  /** Moves there step by step, unless the user prefers reduced motion. */
  glide(to) {
    cancelAnimationFrame(this.frame);
    if (STILL.matches) return this.move(to);
    const from = { width: 1 / this.scale, x: this.x, y: this.y };
    const width = 1 / clamp(to.scale, 1, this.largestScale());
    const start = performance.now();
    const step = (now) => {
      const part = clamp((now - start) / DURATION, 0, 1);
      const between = (a, b) => a + (b - a) * part;
      // The last step without rounding: a scale of 1 is the whole map.
      if (part === 1) return this.move(to);
      this.move({ scale: 1 / between(from.width, width), x: between(from.x, to.x), y: between(from.y, to.y) });
      this.frame = requestAnimationFrame(step);
    };
    this.frame = requestAnimationFrame(step);
  },

  /** The view after an enlargement by `factor` in which the position [x, y] stays where it is. */
  enlarged(factor, [x, y]) {
    const scale = clamp(this.scale * factor, 1, this.largestScale());
    const ratio = this.scale / scale;
    return { scale, x: x + (this.x - x) * ratio, y: y + (this.y - y) * ratio };
  },

  /** Enlarges by `factor` around a position in the window. */
  zoomAt(factor, clientX, clientY) {
    cancelAnimationFrame(this.frame);
    this.move(this.enlarged(factor, this.positionAt(clientX, clientY)));
  },

  /** Enlarges by `factor` around the centre. */
  zoom(factor) {
    this.glide(this.enlarged(factor, [this.x, this.y]));
  },

  reset() {
    this.glide({ scale: 1, x: this.map.width / 2, y: this.map.height / 2 });
  },

  /** Moves what is in view by pixels. */
  pan(x, y) {
    cancelAnimationFrame(this.frame);
    const unit = this.unit();
    this.move({ scale: this.scale, x: this.x - x * unit, y: this.y - y * unit });
  },

  /** Shows a box and a margin around it, and enlarges at least twice. */
  fit(left, top, right, bottom) {
    const { width, height } = this.map;
    const fitting = 0.7 * Math.min(width / Math.max(right - left, 1e-6), height / Math.max(bottom - top, 1e-6));
    this.glide({ scale: Math.max(fitting, 2 * this.scale), x: (left + right) / 2, y: (top + bottom) / 2 });
  },

  /** Moves a position into view, if it is not. */
  reveal(x, y) {
    const { width, height } = this.map;
    const outside = (value, middle, half) => Math.abs(value - middle) > 0.9 * half;
    if (this.scale > 1 && (outside(x, this.x, width / this.scale / 2) || outside(y, this.y, height / this.scale / 2))) {
      this.glide({ scale: this.scale, x, y });
    }
  },

  isLargest() {
    return this.scale >= this.largestScale();
  },
};
