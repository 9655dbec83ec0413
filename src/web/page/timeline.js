/** The packets over the whole range of time, as a line that the mouse and the arrow keys read. */

import { $, linePath, makeSvg, put, setText } from "./elements.js";
import { change, full, isTooShort } from "./rates.js";
import { ago, moment, rate, whole } from "./text.js";
import { view } from "./view.js";

export const timeline = {
  at: null,
  build() {
    const svg = makeSvg("svg", { viewBox: "0 0 600 60", preserveAspectRatio: "none", "aria-hidden": "true" });
    this.area = svg.appendChild(makeSvg("path", { class: "area" }));
    this.line = svg.appendChild(makeSvg("path", { class: "stroke" }));
    this.cursor = svg.appendChild(makeSvg("path", { class: "cursor" }));
    const box = $("timeline");
    box.append(svg);
    const move = (at) => {
      this.at = at;
      this.show();
    };
    box.addEventListener("pointermove", (event) => {
      const bounds = box.getBoundingClientRect();
      const last = (this.values?.length ?? 1) - 1;
      move(Math.max(0, Math.min(last, Math.round(((event.clientX - bounds.left) / bounds.width) * last))));
    });
    box.addEventListener("pointerleave", () => move(null));
    box.addEventListener("blur", () => move(null));
    box.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step || !this.values) return;
      event.preventDefault();
      const last = this.values.length - 1;
      move(Math.max(0, Math.min(last, (this.at ?? last + (step < 0 ? 1 : 0)) + step)));
    });
  },
  update(overview) {
    this.overview = overview;
    this.values = full(overview.timeline, overview);
    const path = linePath(this.values, 600, 58);
    put(this.area, "d", path.area);
    put(this.line, "d", path.line);
    const { seconds, capture, since } = overview.window;
    const what = view.filter.size > 0 ? "packets that match" : "packets";
    const span = capture ? `the capture, ${ago(seconds)}` : `last ${ago(seconds)}`;
    const [compared, spoken] = change(overview.total, overview);
    const from = since > overview.time - seconds + seconds / overview.window.slices ? ` (counted since ${moment(since, seconds)})` : "";
    setText($("timeline-title"), `${whole.format(overview.total.packets)} ${what}, ${span}${from}`);
    setText($("timeline-change"), compared);
    setText($("timeline-spoken"), spoken && `${spoken} ${ago(seconds)}`);
    this.show();
  },
  show() {
    if (!this.values) return;
    const { seconds, slices } = this.overview.window;
    const slice = seconds / slices;
    const maximum = Math.max(...this.values);
    let text = `peak ${rate(maximum / slice)}/s`;
    if (this.at !== null && this.at < this.values.length) {
      const x = (600 * this.at) / Math.max(1, this.values.length - 1);
      put(this.cursor, "d", `M${x} 0V60`);
      const { running } = this.overview.window;
      const newest = isTooShort(this.overview.window) ? running : 0;
      const end = this.overview.time - newest - slice * (this.values.length - 1 - this.at);
      const when = this.overview.window.capture ? `${ago(slice * this.at)} in` : moment(end, seconds);
      text = `${when}: ${rate(this.values[this.at] / slice)}/s`;
    } else put(this.cursor, "d", "");
    setText($("timeline-readout"), text);
    put($("timeline"), "aria-label", `Packets over time, ${text}. The left and right arrow keys read single values.`);
  },
};
