/** How things are said. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nullTranslator } from '@jupyterlab/translation';
import type { DepartedPackages, Environment, Package } from '../src/tokens';
import { sayDeparted, sayName, saySeconds, saySize, sayUnknownDeparted, sayWhy } from '../src/words';

const trans = nullTranslator.load('conda-store-hub');

const ML = { name: 'ml', namespace: { name: 'alice' } } as Environment;

test('an environment is written as was set, and a name is never taken for a pattern', () => {
  assert.equal(sayName(ML, '{name}'), 'ml');
  assert.equal(sayName(ML, '{namespace}/{name} ({name})'), 'alice/ml (ml)');
  assert.equal(sayName({ ...ML, name: '{namespace}$&' }, '{name}'), '{namespace}$&');
});

test('sizes have three figures and a unit', () => {
  assert.deepEqual([0, 999, 1000, 99_499, 999_499, 999_500, 12_345_678, 5e15].map(saySize), [
    '0 B',
    '999 B',
    '1.0 kB',
    '99.5 kB',
    '999 kB',
    '1.0 MB',
    '12.3 MB',
    '5000 TB'
  ]);
});

test('times have as many figures as they are worth', () => {
  assert.deepEqual([0.04, 9.94, 12.4, 89, 90, 754].map(saySeconds), [
    '0.0 s',
    '9.9 s',
    '12 s',
    '89 s',
    '1 min 30 s',
    '12 min 34 s'
  ]);
});

test('why a build has a package is said with a few names', () => {
  const say = (one: Partial<Package>) => sayWhy(one as Package, trans);
  assert.equal(say({ reason: 'asked', needed_by: ['a'], needed_by_count: 1 }), 'asked for');
  assert.equal(say({ reason: 'policy' }), 'added by a policy');
  assert.equal(say({ reason: 'needed', needed_by: ['a', 'b', 'c'], needed_by_count: 3 }), 'needed by a, b, c');
  assert.equal(say({ reason: 'needed', needed_by: ['a', 'b', 'c', 'd'], needed_by_count: 25 }), 'needed by a, b, c and 22 more');
  assert.equal(say({ reason: 'needed' }), 'needed by others');
  assert.equal(say({ reason: null }), '');
});

test('departed packages are warned of, and of which that is not known is said with the reason', () => {
  const one = (name: string) => ({ name, version: '1.0', build: 'h_0', channel: 'c', subdir: 'noarch' });
  const none: DepartedPackages = { gone: [], changed: [], unknown: [], problems: [] };
  assert.deepEqual([sayDeparted(none, trans), sayUnknownDeparted(none, null, trans)], [null, null]);
  assert.equal(sayUnknownDeparted(null, null, trans), null);
  assert.match(sayDeparted({ ...none, gone: [one('a')], changed: [one('b')] }, trans)!, /: a 1\.0 h_0, b 1\.0 h_0$/);
  const unknown = { ...none, unknown: [one('a'), one('b')], problems: [{ channel: 'c', code: 'x', message: 'It is away.' }] };
  const said = 'Whether 2 packages are still in their channels could not be found out. c: It is away.';
  assert.equal(sayUnknownDeparted(unknown as DepartedPackages, null, trans), said);
  assert.match(sayUnknownDeparted(null, new Error('Down.'), trans)!, /could not be found out\. Down\.$/);
});
