// Checks PodMonitors against the API of the Prometheus Operator: unknown and missing members, and types of values. Its
// schema alone does not reject unknown members, which the operator ignores.
//
//   node check.mjs DIRECTORY MANIFEST.yaml...
//
// DIRECTORY contains `node_modules`, installed from `package-lock.json`. Exit status 1 if a manifest has a fault.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';

const [place, ...files] = process.argv.slice(2);
const directory = path.resolve(place);
const require = createRequire(path.join(directory, 'package.json'));
const ts = require('typescript');
const { parse } = require('yaml');

// Inside the directory, so that imports find its modules. The name is unique, so that checks can run in parallel.
const scratch = fs.mkdtempSync(path.join(directory, 'check-'));
process.on('exit', () => fs.rmSync(scratch, { recursive: true }));

for (const file of files) {
  const source = path.join(scratch, 'monitor.ts');
  const value = JSON.stringify(parse(fs.readFileSync(file, 'utf8')), null, 2);
  fs.writeFileSync(
    source,
    `import type { IPodMonitor } from '@kubernetes-models/prometheus-operator/monitoring.coreos.com/v1/PodMonitor';
export const monitor: IPodMonitor = ${value};
`,
  );
  const program = ts.createProgram([source], {
    module: ts.ModuleKind.ESNext,
    moduleResolution: ts.ModuleResolutionKind.Bundler,
    noEmit: true,
    skipLibCheck: true,
    strict: true,
    types: [],
  });
  const faults = ts.getPreEmitDiagnostics(program);
  for (const fault of faults) {
    console.error(`${file}: ${ts.flattenDiagnosticMessageText(fault.messageText, '\n')}`);
  }
  if (faults.length) process.exitCode = 1;
  else console.log(`${file}: ok`);
}
