/** Joins points that are too close to each other to be distinguished. */

/**
 * Clusters of `points`, which have `x`, `y` and `packets` and are in descending order of packets. Each cluster is where
 * its heaviest point is, which no heavier cluster is closer to than `distance`.
 */
export function cluster(points, distance) {
  const cells = new Map();
  const clusters = [];
  for (const point of points) {
    const [column, row] = [Math.floor(point.x / distance), Math.floor(point.y / distance)];
    const near = [];
    for (let dx = -1; dx <= 1; dx += 1) {
      for (let dy = -1; dy <= 1; dy += 1) near.push(...(cells.get(`${column + dx} ${row + dy}`) ?? []));
    }
    const away = (found) => Math.hypot(found.first.x - point.x, found.first.y - point.y);
    const nearest = near.filter((found) => away(found) < distance).sort((a, b) => away(a) - away(b))[0];
    if (nearest) {
      nearest.points.push(point);
      nearest.packets += point.packets;
      continue;
    }
    const made = { first: point, points: [point], packets: point.packets };
    clusters.push(made);
    const key = `${column} ${row}`;
    cells.set(key, [...(cells.get(key) ?? []), made]);
  }
  return clusters;
}
