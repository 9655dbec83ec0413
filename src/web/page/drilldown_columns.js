/** The columns of sources and packets: their titles, and how their values are written. */

import { $, make, put } from "./elements.js";
import { valueName } from "./labels.js";
import { count, moment, whole } from "./text.js";
import { setAddress, view } from "./view.js";

const FLAGS = ["FIN", "SYN", "RST", "PSH", "ACK", "URG", "ECE", "CWR"];

/**
 * Each column: title, text of a row, and what kind of cell it is: `whole` ones are not broken into lines, and `wide` ones are
 * left out on a phone. `order` is the first order by this column: its name in a query, with `-` before it for a descending
 * one.
 */
export const SOURCES = [
  { title: "Address", text: (row) => row.address, kind: "address", order: "address" },
  { title: "Packets", text: (row) => count(row.packets), title_of: (row) => whole.format(row.packets), kind: "number", order: "-packets" },
  { title: "Ports", text: (row) => whole.format(row.ports), kind: "number", order: "-ports" },
  { title: "First seen", text: (row, seconds) => time(row.first_seen, seconds), title_of: (row) => row.first_seen, kind: "wide whole", order: "-first_seen" },
  { title: "Last seen", text: (row, seconds) => time(row.last_seen, seconds), title_of: (row) => row.last_seen, kind: "whole", order: "-last_seen" },
  { title: "Place", text: place, title_of: (row) => valueName("country", row.country) },
  { title: "AS", text: system, kind: "wide" },
];

export const PACKETS = [
  { title: "Time", text: (row) => time(row.time, 0), title_of: (row) => row.time, kind: "whole" },
  { title: "Prefix", text: (row) => row.prefix, title_of: devices, kind: "wide" },
  { title: "Source", text: (row) => row.source, kind: "address" },
  { title: "Port", text: (row) => row.source_port, kind: "wide number" },
  { title: "Destination", text: (row) => row.destination, kind: "wide whole" },
  { title: "To port", text: (row) => row.destination_port, kind: "number" },
  { title: "Protocol", text: (row) => [row.protocol, details(row)].filter(Boolean).join(" ") },
  { title: "Bytes", text: (row) => whole.format(row.length), kind: "wide number" },
  { title: "Place", text: place, title_of: (row) => valueName("country", row.country) },
  { title: "Host", text: (row) => row.host, kind: "wide" },
];

function time(text, seconds) {
  return moment(Date.parse(text) / 1000, seconds);
}

/** The number and the name of an autonomous system. */
function system({ asn, as_name: name }) {
  return [asn && `AS${asn}`, name].filter(Boolean).join(" ");
}

function place(row) {
  return row.city ? `${row.city}, ${row.country}` : row.country;
}

function devices(row) {
  return [row.direction, row.in_device && `from ${row.in_device}`, row.out_device && `to ${row.out_device}`].filter(Boolean).join(" ");
}

/** The flags of TCP, or type and code of ICMP. */
function details(row) {
  if (row.tcp_flags !== null) return FLAGS.filter((_, bit) => row.tcp_flags & (1 << bit)).join(",");
  return row.icmp_type === null ? "" : `type ${row.icmp_type}, code ${row.icmp_code ?? 0}`;
}

/** The other direction of an order. */
const reversed = (order) => (order.startsWith("-") ? order.slice(1) : `-${order}`);

/** The head of a column: a button if the list can have its order, which is then passed to `choose`. */
export function head(column, choose) {
  const th = make("th", column.kind ?? "", column.order ? "" : column.title);
  th.scope = "col";
  if (!column.order) return th;
  const button = make("button", "order", column.title);
  button.type = "button";
  button.addEventListener("click", () => {
    const isReversed = th.getAttribute("aria-sort") && th.dataset.order === column.order;
    choose(isReversed ? reversed(column.order) : column.order);
  });
  th.append(button);
  return th;
}

/** Marks the column whose order a list has. */
export function showOrder(heads, columns, order) {
  for (const [index, th] of [...heads].entries()) {
    const first = columns[index].order;
    const isCurrent = order !== null && (order === first || order === (first && reversed(first)));
    put(th, "aria-sort", isCurrent ? (order.startsWith("-") ? "descending" : "ascending") : null);
    put(th, "data-order", isCurrent ? order : null);
  }
}

/** The cell of a column. An address is a button that selects the packets of this source. */
export function cell(column, row, seconds) {
  const text = String(column.text(row, seconds) ?? "");
  if (column.kind !== "address") {
    const td = make("td", column.kind ?? "", text);
    const title = column.title_of?.(row, seconds);
    if (title && title !== text) td.title = title;
    return td;
  }
  const th = make("th");
  th.scope = "row";
  if (!text) return th;
  const button = make("button", "link", text);
  button.type = "button";
  button.setAttribute("aria-pressed", view.address === text);
  button.setAttribute("aria-label", `Packets from ${text}`);
  button.addEventListener("click", () => {
    setAddress(view.address === text ? null : text);
    // The rows are replaced, and the button with them.
    $(view.address ? "drilldown-address" : "drilldown-refresh").focus();
  });
  th.append(button);
  return th;
}
