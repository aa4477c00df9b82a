/** A text gets one line more, and is otherwise as it was typed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addDependency } from '../src/specification';

const CASES: readonly [string, string, string | null][] = [
  ['a list', 'name: x\ndependencies:\n  - python\n', 'name: x\ndependencies:\n  - python\n  - ipykernel\n'],
  ['without indent', 'dependencies:\n- python # why\nname: x\n', 'dependencies:\n- python # why\n- ipykernel\nname: x\n'],
  [
    'pip last',
    'dependencies:\n  - python\n  - pip:\n    - flask\nvariables:\n  A: b\n',
    'dependencies:\n  - python\n  - ipykernel\n  - pip:\n    - flask\nvariables:\n  A: b\n'
  ],
  ['only pip', 'dependencies:\n  - pip:\n    - flask', 'dependencies:\n  - ipykernel\n  - pip:\n    - flask'],
  ['in brackets', 'dependencies: [python, "r>=4"] # all\n', 'dependencies: [python, "r>=4", ipykernel] # all\n'],
  ['in empty brackets', 'dependencies: []\n', 'dependencies: [ipykernel]\n'],
  ['none', 'name: x', 'name: x\ndependencies:\n  - ipykernel\n'],
  ['an empty one', 'dependencies:\n', 'dependencies:\n  - ipykernel\n'],
  ['comments between', 'dependencies:\n  # a\n  - a\n\n  # b\n  - b', 'dependencies:\n  # a\n  - a\n\n  # b\n  - b\n  - ipykernel'],
  ['a lock file', '@EXPLICIT\nhttps://x/y.conda\n', null],
  ['brackets over lines', 'dependencies: [\n  python]\n', null]
];

for (const [what, before, after] of CASES) {
  test(`a dependency is added: ${what}`, () => {
    assert.equal(addDependency(before, 'ipykernel'), after);
  });
}
