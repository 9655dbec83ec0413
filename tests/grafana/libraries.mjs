// Loads Grafana's libraries from a directory installed by `npm ci`, with a jsdom window.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

// Grafana's packages mix ES modules and CommonJS. A single bundle loads in every version of Node.
const ENTRY = `
export * as data from '@grafana/data';
export * as schema from '@grafana/schema';
export * as chromatic from 'd3-scale-chromatic';
`;

/// Returns `{ data, schema, chromatic, typescript, version, types }`. `types(panel)` is the file that declares the
/// options of a panel. Writes only into `scratch`.
export function load(directory, scratch) {
  const require = createRequire(path.join(directory, 'package.json'));
  const { JSDOM } = require('jsdom');
  const { window } = new JSDOM('<!doctype html>', { url: 'http://localhost/' });
  window.matchMedia = () => ({ matches: false, addListener() {}, addEventListener() {} });
  for (const name of Object.getOwnPropertyNames(window)) {
    if (!(name in globalThis)) globalThis[name] = window[name];
  }
  globalThis.window = window;
  const bundle = path.join(scratch, 'bundle.cjs');
  require('esbuild').buildSync({
    stdin: { contents: ENTRY, resolveDir: directory },
    bundle: true,
    format: 'cjs',
    platform: 'node',
    loader: { '.css': 'empty' },
    logLevel: 'error',
    outfile: bundle,
  });
  const root = path.join(directory, 'node_modules', '@grafana', 'schema');
  return {
    ...require(bundle),
    typescript: require('typescript'),
    version: JSON.parse(fs.readFileSync(path.join(root, 'package.json'))).version,
    types: (panel) => panelTypes(path.join(root, 'dist'), panel),
  };
}

function panelTypes(dist, panel) {
  for (const base of ['types', 'esm']) {
    const directory = path.join(dist, base, 'raw', 'composable', panel, 'panelcfg', 'x');
    if (!fs.existsSync(directory)) continue;
    const file = fs.readdirSync(directory).find((name) => name.endsWith('types.gen.d.ts'));
    if (file) return path.join(directory, file);
  }
  return undefined;
}
