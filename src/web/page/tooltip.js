/** The box beside the mouse: the texts in `tooltip` of the element below it. */

import { $, make } from "./elements.js";

export const tooltip = {
  over(target, x, y) {
    this.target = target.tooltip ? target : null;
    const box = $("tooltip");
    box.hidden = !this.target;
    if (!this.target) return;
    this.refresh();
    const { width, height } = box.getBoundingClientRect();
    const left = Math.min(Math.max(8, x + 14), innerWidth - width - 8);
    const top = y + 16 + height > innerHeight ? y - height - 12 : y + 16;
    box.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  },
  refresh() {
    if (!this.target?.tooltip) return this.hide();
    const [name, ...lines] = this.target.tooltip;
    const text = [make("strong", "", name), ...lines.map((line, i) => make(i ? "span" : "div", "", line))];
    $("tooltip").replaceChildren(...text);
  },
  hide() {
    this.target = null;
    $("tooltip").hidden = true;
  },
};
