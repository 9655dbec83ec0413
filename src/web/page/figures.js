/** The figures of the exporter itself: its rate, losses and mirror, and the sentence for screen readers. */

import { $, make, put, setText } from "./elements.js";
import { filterName } from "./labels.js";
import { ago, bytes, count, rate, whole } from "./text.js";
import { view } from "./view.js";

/** Minimum milliseconds between two sentences on the same view. */
const SUMMARY_EVERY = 60000;
let spoken = { at: 0, chosen: "" };

/** A figure followed by a small text. */
function figure(id, text, small = "") {
  const element = $(id);
  element.main ??= element.replaceChildren(document.createTextNode(""), make("small")) ?? element.firstChild;
  if (element.main.data !== text) element.main.data = text;
  setText(element.lastChild, small ? ` ${small}` : "");
}

export function updateFigures(overview) {
  figure("rate", rate(overview.now.packets_per_second));
  figure("received", whole.format(overview.received));
  figure("lost", whole.format(overview.lost));
  $("lost-figure").classList.toggle("bad", overview.lost > 0);
  put($("lost-figure"), "title", overview.groups.map((group) => `group ${group.group}: ${whole.format(group.lost)} lost, ${whole.format(group.socket_drops)} socket drops`).join("\n") || "packets that the kernel logged and the exporter did not receive");
  figure("sources", count(overview.source_addresses));
  put($("sources"), "title", overview.sources.map(({ prefix, addresses }) => `${prefix || "(no prefix)"}: ${whole.format(addresses)}`).join("\n"));
  const { mirror } = overview;
  const box = $("mirror-figure");
  box.classList.toggle("good", mirror?.up === true && mirror.dropped === 0);
  box.classList.toggle("bad", mirror !== null && (!mirror.up || mirror.dropped > 0));
  if (!mirror) figure("mirror", "off");
  else if (!mirror.up) figure("mirror", "down", `${count(mirror.spooled + mirror.queued)} rows waiting`);
  else if (mirror.dropped > 0) figure("mirror", "dropping", `${count(mirror.dropped)} rows`);
  else figure("mirror", "up", mirror.lag_seconds < 1 ? "" : `lag ${ago(mirror.lag_seconds)}`);
  put(box, "title", mirror ? `${whole.format(mirror.written)} rows written, ${whole.format(mirror.queued)} queued, ${whole.format(mirror.spooled)} spooled, ${whole.format(mirror.dropped)} dropped; spool ${bytes(mirror.spool_bytes)} of ${bytes(mirror.spool_limit_bytes)}` : "no database is configured");
  document.title = `${rate(overview.now.packets_per_second)}/s · nflog_exporter`;
}

/** One sentence for screen readers, which read it when it changes. */
export function updateSummary(overview) {
  const now = Date.now();
  const filter = [...view.filter].map(([dimension, value]) => filterName(dimension, value)).join(", ");
  const chosen = filter + view.range.name;
  if (now - spoken.at < SUMMARY_EVERY && spoken.chosen === chosen) return;
  spoken = { at: now, chosen };
  const first = overview.countries[0];
  setText($("summary"), `${filter ? `Filter ${filter}: ` : ""}${whole.format(overview.total.packets)} packets in the last ${ago(overview.window.seconds)}${first ? `, most from ${first.name || first.value}` : ""}; ${whole.format(overview.lost)} lost.`);
}
