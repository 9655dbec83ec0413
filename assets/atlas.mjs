// Shared by countries.mjs and map.mjs: reads Natural Earth's countries (TopoJSON) and assets/countries.tsv, and
// measures polygons.

import { readFileSync } from "node:fs";

/** Reads a topology; its arcs become absolute [longitude, latitude]. */
export function readTopology(path) {
  const topology = JSON.parse(readFileSync(path, "utf8"));
  const { scale, translate } = topology.transform;
  const arcs = topology.arcs.map((arc) => {
    let [x, y] = [0, 0];
    return arc.map(([dx, dy]) => {
      x += dx;
      y += dy;
      return [x * scale[0] + translate[0], y * scale[1] + translate[1]];
    });
  });
  return { geometries: topology.objects.countries.geometries, arcs };
}

/** Reads the rows of the table, without comments. */
export function readTable(path) {
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => line.split("\t"));
}

/** The polygons of a geometry, each a list of rings of arcs. */
export function polygonsOf(geometry) {
  return geometry.type === "Polygon" ? [geometry.arcs] : geometry.arcs;
}

/** Returns the unwrapped points of a ring. A negative index is the complement of a reversed arc's index (TopoJSON). */
export function join(arcs, indices) {
  return unwrap(
    indices.flatMap((index, position) => {
      const arc = index < 0 ? [...arcs[~index]].reverse() : arcs[index];
      return position === 0 ? arc : arc.slice(1);
    }),
  );
}

/** Adds multiples of 360 degrees to longitudes, so that no step between two points exceeds 180 degrees. */
export function unwrap(points) {
  let turn = 0;
  return points.map(([longitude, latitude], index) => {
    if (index > 0) {
      const step = longitude - points[index - 1][0];
      if (step > 180) turn -= 360;
      if (step < -180) turn += 360;
    }
    return [longitude + turn, latitude];
  });
}

/** Returns the area and the centroid of a closed ring. */
export function measure(points) {
  const [originX, originY] = points[0];
  let [area, cx, cy] = [0, 0, 0];
  for (let i = 1; i < points.length; i += 1) {
    const [ax, ay] = [points[i - 1][0] - originX, points[i - 1][1] - originY];
    const [bx, by] = [points[i][0] - originX, points[i][1] - originY];
    const cross = ax * by - bx * ay;
    area += cross / 2;
    cx += ((ax + bx) * cross) / 6;
    cy += ((ay + by) * cross) / 6;
  }
  const centre = area === 0 ? [originX, originY] : [originX + cx / area, originY + cy / area];
  return { area: Math.abs(area), centre };
}
