/** Moves the map by mouse, touch, keys and buttons. */

import { $ } from "./elements.js";
import { viewport } from "./viewport.js";

/** Enlargement by a button or a key. */
const STEP = 2;
/** Pixels by which an arrow key moves the map. */
const ARROW = 80;
/** Pixels from which a movement of the mouse is not a click. */
const DRAG = 4;
/** Milliseconds after the page has scrolled in which the wheel does not turn to the map. */
const SETTLED = 300;

export function buildGestures() {
  const box = $("map");
  buildButtons();
  box.addEventListener("keydown", key);
  buildWheel(box);
  buildPointers(box);
}

function buildButtons() {
  const actions = { "zoom-in": () => viewport.zoom(STEP), "zoom-out": () => viewport.zoom(1 / STEP), "zoom-reset": () => viewport.reset() };
  for (const [id, action] of Object.entries(actions)) $(id).addEventListener("click", action);
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const zooms = { "+": () => viewport.zoom(STEP), "=": () => viewport.zoom(STEP), "-": () => viewport.zoom(1 / STEP), 0: () => viewport.reset() };
  const arrows = { ArrowLeft: [ARROW, 0], ArrowRight: [-ARROW, 0], ArrowUp: [0, ARROW], ArrowDown: [0, -ARROW] };
  const arrow = arrows[event.key];
  if (zooms[event.key]) zooms[event.key]();
  // On a country or a city, the arrow keys select the next one. The whole map does not move, so the page scrolls.
  else if (arrow && event.target === $("map") && viewport.scale > 1) viewport.pan(...arrow);
  else return;
  event.preventDefault();
}

/** The wheel enlarges the map; it scrolls the page if it was scrolling it, or if the whole map is in view. */
function buildWheel(box) {
  let scrolled = -SETTLED;
  addEventListener("scroll", () => (scrolled = performance.now()), { passive: true });
  const wheel = (event) => {
    // Pinching on a touchpad is a wheel with the control key.
    const isScrolling = performance.now() - scrolled < SETTLED || (event.deltaY > 0 && viewport.scale === 1);
    if (isScrolling && !event.ctrlKey) return;
    event.preventDefault();
    const pixels = event.deltaY * (event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 30 : 1);
    viewport.zoomAt(Math.exp(-pixels * (event.ctrlKey ? 0.01 : 0.002)), event.clientX, event.clientY);
  };
  box.addEventListener("wheel", wheel, { passive: false });
}

/** One pointer moves the enlarged map, two enlarge it. One finger scrolls the page while the whole map is in view. */
function buildPointers(box) {
  const pointers = new Map();
  let dragging = false;
  /** Whether the latest press of a pointer has moved the map. */
  let moved = false;
  const end = (event) => {
    pointers.delete(event.pointerId);
    if (pointers.size === 0) dragging = false;
    box.classList.toggle("dragged", dragging);
  };
  box.addEventListener("pointerdown", (event) => {
    // A first pointer: any other one was released outside.
    if (event.isPrimary) {
      pointers.clear();
      dragging = moved = false;
    }
    if (event.button !== 0 || event.target.closest("button")) return;
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  box.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (before && event.buttons === 0) return end(event);
    if (!before || pointers.size > 2) return;
    const [x, y] = [event.clientX - before.x, event.clientY - before.y];
    if (!dragging) {
      dragging = pointers.size > 1 || (viewport.scale > 1 && Math.hypot(x, y) >= DRAG);
      if (!dragging) return;
      moved = true;
      // They may leave the map.
      for (const id of pointers.keys()) box.setPointerCapture(id);
      box.classList.add("dragged");
    }
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const distance = (point) => Math.max(1, Math.hypot(point.x - other.x, point.y - other.y));
      const now = { x: event.clientX, y: event.clientY };
      viewport.pan(x / 2, y / 2);
      viewport.zoomAt(distance(now) / distance(before), (now.x + other.x) / 2, (now.y + other.y) / 2);
    } else viewport.pan(x, y);
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
  });
  box.addEventListener("pointerup", end);
  box.addEventListener("pointercancel", end);
  // WebKit has a click on the element below a captured pointer after a movement. Clicks of the keyboard have no detail.
  box.addEventListener("click", (event) => moved && event.detail > 0 && event.stopPropagation(), { capture: true });
  // Else the browser scrolls with two fingers, and takes the pointers away.
  for (const name of ["touchstart", "touchmove"]) {
    box.addEventListener(name, (event) => event.touches.length > 1 && event.cancelable && event.preventDefault(), { passive: false });
  }
}
