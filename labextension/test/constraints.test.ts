/** What is said of a line as it is typed; that the service says the same of each is held by its own tests. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { checkDependency, checkPip } from '../src/constraints';

type Examples = Readonly<Record<'conda' | 'pip', Readonly<Record<'good' | 'bad', readonly string[]>>>>;
const EXAMPLES = JSON.parse(readFileSync(new URL('./dependencies.json', import.meta.url), 'utf8')) as Examples;

for (const [kind, check] of [['conda', checkDependency], ['pip', checkPip]] as const) {
  test(`what the service takes for ${kind} is not called wrong`, () => {
    assert.deepEqual(EXAMPLES[kind].good.filter(line => check(line) !== null), []);
  });

  test(`what cannot be meant for ${kind} is said`, () => {
    assert.deepEqual(EXAMPLES[kind].bad.filter(line => check(line) === null), []);
  });
}

test('what is said names what was typed', () => {
  assert.match(checkDependency('numpy=>1')!, /“=>”/);
  assert.match(checkDependency('numpy>=1,')!, /Behind “,”/);
  assert.match(checkPip('cowsay=6')!, /“==”/);
});
