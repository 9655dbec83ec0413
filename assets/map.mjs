// Writes src/web/page/world.svg from assets/countries.tsv and Natural Earth's countries.
//
// usage: node assets/map.mjs COUNTRIES-50M.JSON COUNTRIES.TSV > world.svg
//
// Natural Earth projection centred on 11° E, so that the edge of the map is in the Bering Strait and cuts no land; 1000
// units wide, without Antarctica. src/web/page/projection.js projects cities with the same formula. Each country is one
// group on a line of its own, with a path. Countries that are too small to be visible, or have no outline, have a circle.

import { join, measure, polygonsOf, readTable, readTopology, unwrap } from "./atlas.mjs";

const [topologyPath, tablePath] = process.argv.slice(2);
const topology = readTopology(topologyPath);

const RADIANS = Math.PI / 180;
const WIDTH = 1000;
const MERIDIAN = 11;
const [NORTH, SOUTH] = [83.7, -56.2];
/** Maximum distance of a simplified outline from the original one, in units. */
const TOLERANCE = 0.2;
/** Minimum area of an island, in square units. The largest polygon of a country is always kept. */
const MIN_AREA = 0.12;
/** A country gets a circle when its largest piece is smaller than this many square units. */
const SMALL_AREA = 6;
const RADIUS = 2.2;
/** Geometries of Natural Earth without an ISO number, by name. */
const BY_NAME = { Kosovo: "XK", "N. Cyprus": "CY", Somaliland: "SO" };

/** Natural Earth projection (Patterson and Šavrič 2012), radius 1. */
function naturalEarth(longitude, latitude) {
  const phi = latitude * RADIANS;
  const p2 = phi * phi;
  const p4 = p2 * p2;
  const x = 0.8707 - 0.131979 * p2 + p4 * (-0.013791 + p4 * (0.003971 * p2 - 0.001529 * p4));
  const y = 1.007226 + p2 * (0.015085 + p4 * (-0.044475 + 0.028874 * p2 - 0.005916 * p4));
  return [longitude * RADIANS * x, phi * y];
}

const UNIT = WIDTH / (2 * naturalEarth(180, 0)[0]);
const TOP = naturalEarth(0, NORTH)[1];
const HEIGHT = Math.round((TOP - naturalEarth(0, SOUTH)[1]) * UNIT);

/** Returns units from the upper left corner. `longitude` can be outside of ±180. */
function project([longitude, latitude]) {
  const [x, y] = naturalEarth(longitude - MERIDIAN, latitude);
  return [WIDTH / 2 + x * UNIT, (TOP - y) * UNIT];
}

function distanceToLine([px, py], [ax, ay], [bx, by]) {
  const [dx, dy] = [bx - ax, by - ay];
  const length = dx * dx + dy * dy;
  const along = length === 0 ? 0 : Math.min(1, Math.max(0, ((px - ax) * dx + (py - ay) * dy) / length));
  return Math.hypot(px - ax - along * dx, py - ay - along * dy);
}

/** Returns the indices of the points to keep (Douglas-Peucker algorithm). */
function keep(points) {
  const kept = new Set([0, points.length - 1]);
  const spans = [[0, points.length - 1]];
  while (spans.length > 0) {
    const [from, to] = spans.pop();
    let [farthest, maximum] = [-1, TOLERANCE];
    for (let i = from + 1; i < to; i += 1) {
      const distance = distanceToLine(points[i], points[from], points[to]);
      if (distance > maximum) [farthest, maximum] = [i, distance];
    }
    if (farthest < 0) continue;
    kept.add(farthest);
    spans.push([from, farthest], [farthest, to]);
  }
  return points.map((_, index) => index).filter((index) => kept.has(index));
}

/** Arcs as [longitude, latitude]. Each is simplified once, so that neighbours share their border. */
const arcs = topology.arcs.map((points) =>
  keep(unwrap(points).map(project)).map((index) => points[index]),
);

/** Returns a closed ring in units. */
function ring(indices) {
  const points = join(arcs, indices);
  const middle = points.reduce((sum, [longitude]) => sum + longitude, 0) / points.length;
  const turn = -360 * Math.round((middle - MERIDIAN) / 360);
  return points.map(([longitude, latitude]) => project([longitude + turn, latitude]));
}

function contains(points, [x, y]) {
  let inside = false;
  for (let i = 1; i < points.length; i += 1) {
    const [[ax, ay], [bx, by]] = [points[i - 1], points[i]];
    if (ay > y !== by > y && x < ax + ((y - ay) / (by - ay)) * (bx - ax)) inside = !inside;
  }
  return inside;
}

/** Returns the shortest SVG path in tenths of a unit. Equal consecutive points are merged. */
function pathOf(rings) {
  let text = "";
  for (const points of rings) {
    const tenths = points
      .map(([x, y]) => [Math.round(x * 10), Math.round(y * 10)])
      .filter(([x, y], i, all) => i === 0 || x !== all[i - 1][0] || y !== all[i - 1][1]);
    tenths.pop(); // closed by z
    if (tenths.length < 3) continue;
    const number = (value) => String(value / 10).replace(/^(-?)0\./, "$1.");
    const pair = ([x, y]) => `${number(x)}${y < 0 ? "" : " "}${number(y)}`;
    text += `M${pair(tenths[0])}l`;
    text += tenths
      .slice(1)
      .map(([x, y], i) => pair([x - tenths[i][0], y - tenths[i][1]]))
      .reduce((line, step) => line + (line === "" || step.startsWith("-") ? "" : " ") + step, "");
    text += "z";
  }
  return text;
}

const table = readTable(tablePath);
const codeOf = new Map(table.map(([code, , number]) => [number, code]));

/** Polygons by country code; "" for polygons without a code. */
const pieces = new Map();
for (const geometry of topology.geometries) {
  const code = codeOf.get(geometry.id) ?? BY_NAME[geometry.properties.name] ?? "";
  if (code === "AQ") continue;
  for (const polygon of polygonsOf(geometry)) {
    const rings = polygon.map(ring);
    const piece = { rings, ...measure(rings[0]) };
    if (!pieces.has(code)) pieces.set(code, []);
    pieces.get(code).push(piece);
  }
}
for (const list of pieces.values()) list.sort((a, b) => b.area - a.area);

// A code without an outline gets the polygon of another country that contains its point, such as French Guiana (France)
// or Svalbard (Norway).
for (const [code, , , , , latitude, longitude] of table) {
  if (latitude === undefined || pieces.has(code)) continue;
  const point = project([Number(longitude), Number(latitude)]);
  for (const list of pieces.values()) {
    const found = list.findIndex(({ rings }, rank) => rank > 0 && contains(rings[0], point));
    if (found > 0) pieces.set(code, list.splice(found, 1));
  }
}

const [shapes, smallShapes] = [[], []];
const round = (value) => Number(value.toFixed(1));
for (const [code, , , , , latitude, longitude] of table) {
  const list = pieces.get(code);
  const rings = (list ?? [])
    .filter(({ area }, rank) => rank === 0 || area >= MIN_AREA)
    .flatMap((piece) => piece.rings.filter((points, hole) => hole === 0 || measure(points).area >= MIN_AREA));
  const path = pathOf(rings);
  const small = list === undefined || list[0].area < SMALL_AREA;
  const outline = path === "" ? "" : `<path d="${path}"/>`;
  if (!small) shapes.push(`<g data-code="${code}">${outline}</g>`);
  else {
    const [x, y] = list?.[0].centre ?? project([Number(longitude), Number(latitude)]);
    const circle = `<circle cx="${round(x)}" cy="${round(Math.min(y, HEIGHT - 2 * RADIUS))}" r="${RADIUS}"/>`;
    // The path is visible on an enlarged map.
    smallShapes.push(`<g data-code="${code}">${outline}${circle}</g>`);
  }
}
const unassigned = pathOf((pieces.get("") ?? []).flatMap(({ rings }) => rings));

process.stdout.write(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}">
<!-- Made with Natural Earth. Written by assets/refresh map. -->
<g fill="#9aa7b4" stroke="#fff" stroke-width=".4">
<path class="uncoded" d="${unassigned}"/>
${shapes.join("\n")}
</g>
<g fill="#7f8fa0">
${smallShapes.join("\n")}
</g>
</svg>
`);
