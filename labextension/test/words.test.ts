/** How things are said. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Environment } from '../src/tokens';
import { sayName, saySeconds, saySize } from '../src/words';

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
