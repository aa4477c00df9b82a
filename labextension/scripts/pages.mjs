/** Bundle what pages of the service load of these sources, with the licence of what is in it. */
import { readFileSync } from 'node:fs';
import { build } from 'esbuild';

const licence = readFileSync(new URL('../node_modules/yaml/LICENSE', import.meta.url), 'utf8').trim();

await build({
  absWorkingDir: new URL('..', import.meta.url).pathname,
  entryPoints: ['pages/create.ts'],
  outdir: '../conda_store_hub/web/static/built',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2020',
  charset: 'utf8',
  logLevel: 'warning',
  banner: { js: `/*! With yaml:\n${licence}\n*/` }
});
