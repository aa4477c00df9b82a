/** The composer's edits change what they are about, and leave the rest of the text as it was typed. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { addEntry, moveEntry, putDependency, removeEntry, replaceEntry, setName } from '../src/document';
import { isLockfile, type ListName, nameOf, read } from '../src/reading';
import { difference } from '../src/splices';

const TEXT = `\
# for the lecture
name: lecture  # as in the timetable

# the mirror comes first
channels:
  # about the list
  - mirror
  # about conda-forge
  - conda-forge # has most

  - local
dependencies:
  # plotting
  - matplotlib >=3  # pinned by hand
  - "numpy[version='>=1.2']"

  - python 3.10
  - pip
  - pip:
    # from the index
    - flask[async]>=2
    - 'black'
variables:
  A: "1" # stays
`;

const ODD = `\
dependencies:
-   python
-   pip:
        -  requests[socks]
        -  flask
name: odd
`;

const FLOW = `name: f
channels: [ "a", b ,c] # all
dependencies: [python, "r >=4,<5", {pip: [flask]}]
`;

function lists(text: string) {
  const { outline } = read(text);
  assert.ok(outline, read(text).fault?.message);
  const texts = (list: ListName) => outline[list].map(entry => entry.text);
  return { name: outline.name, channels: texts('channels'), dependencies: texts('dependencies'), pip: texts('pip') };
}

/** The lines that one text has and the other has not, in order. */
function changedLines(before: string, after: string | null): [string[], string[]] {
  assert.ok(after !== null);
  const [old, now] = [before.split('\n'), after.split('\n')];
  return [old.filter(line => !now.includes(line)), now.filter(line => !old.includes(line))];
}

test('what the composer shows is read as it was typed', () => {
  assert.deepEqual(lists(TEXT), {
    name: 'lecture',
    channels: ['mirror', 'conda-forge', 'local'],
    dependencies: ['matplotlib >=3', "numpy[version='>=1.2']", 'python 3.10', 'pip'],
    pip: ['flask[async]>=2', 'black']
  });
  assert.deepEqual(lists(FLOW), {
    name: 'f',
    channels: ['a', 'b', 'c'],
    dependencies: ['python', 'r >=4,<5'],
    pip: ['flask']
  });
  assert.deepEqual(lists(''), { name: null, channels: [], dependencies: [], pip: [] });
  assert.deepEqual(lists('dependencies:\n  - 3.10\nname: 1.10\n').dependencies, ['3.10']);
  assert.equal(lists('name: 1.10\n').name, '1.10');
});

test('what cannot be shown is said with its place', () => {
  const cases: [string, number, RegExp][] = [
    ['name: x\ndependencies:\n  - "open\n', 4, /quote/i],
    ['name: x\ndependencies: python\n', 2, /“dependencies:” has to be a list/],
    ['name: x\nchannels:\n  - a: b\n', 3, /single value/],
    ['- python\n', 1, /not an environment.yaml/],
    ['name: x\nname: y\n', 2, /unique/i],
    ['# from\u2028#a\u2029#page\x85\nname: x\r\nname: y\n', 3, /unique/i]
  ];
  for (const [text, line, said] of cases) {
    const { fault } = read(text);
    assert.match(fault?.message ?? '', said);
    assert.equal(fault?.line, line, text);
    assert.equal(addEntry(text, 'dependencies', 'a'), null);
  }
});

test('an entry more is one line more', () => {
  assert.deepEqual(changedLines(TEXT, addEntry(TEXT, 'dependencies', 'scipy')), [[], ['  - scipy']]);
  assert.deepEqual(changedLines(TEXT, addEntry(TEXT, 'pip', 'attrs')), [[], ['    - attrs']]);
  assert.deepEqual(changedLines(TEXT, addEntry(TEXT, 'channels', 'bioconda')), [[], ['  - bioconda']]);
  assert.deepEqual(changedLines(TEXT, addEntry(TEXT, 'channels', 'bioconda', 0)), [[], ['  - bioconda']]);
  assert.equal(lists(addEntry(TEXT, 'channels', 'bioconda', 1)!).channels[1], 'bioconda');
});

test('a comment goes with the line that it stands on, and no other', () => {
  const [removed, added] = changedLines(TEXT, removeEntry(TEXT, 'dependencies', 0));
  assert.deepEqual([removed, added], [['  - matplotlib >=3  # pinned by hand'], []]);
  const [gone] = changedLines(TEXT, replaceEntry(TEXT, 'dependencies', 0, 'matplotlib'));
  assert.deepEqual(gone, ['  - matplotlib >=3  # pinned by hand']);
  assert.match(replaceEntry(TEXT, 'dependencies', 0, 'matplotlib')!, /- matplotlib  # pinned by hand\n/);
});

test('a channel takes the comments above it along, and those about the list stay', () => {
  const moved = moveEntry(TEXT, 'channels', 1, 0)!;
  assert.match(
    moved,
    /channels:\n {2}# about the list\n {2}# about conda-forge\n {2}- conda-forge # has most\n {2}- mirror\n\n {2}- local\n/
  );
  assert.deepEqual(lists(moved).channels, ['conda-forge', 'mirror', 'local']);
  assert.equal(moveEntry(moved, 'channels', 0, 0), moved);
  assert.deepEqual(lists(moveEntry(TEXT, 'channels', 0, 2)!).channels, ['conda-forge', 'local', 'mirror']);
  for (const comment of TEXT.match(/#.*/g)!) {
    assert.ok(moved.includes(comment));
  }
});

test('odd indentation is kept', () => {
  assert.deepEqual(changedLines(ODD, addEntry(ODD, 'dependencies', 'numpy')), [[], ['-   numpy']]);
  assert.deepEqual(changedLines(ODD, addEntry(ODD, 'pip', 'attrs')), [[], ['        -  attrs']]);
  assert.deepEqual(changedLines(ODD, addEntry(ODD, 'channels', 'x')), [[], ['channels:', '- x']]);
  assert.deepEqual(lists(addEntry(ODD, 'channels', 'x')!).channels, ['x']);
});

test('lists in brackets stay in brackets', () => {
  assert.match(addEntry(FLOW, 'channels', 'd')!, /channels: \[ "a", b ,c, d\] # all/);
  assert.match(addEntry(FLOW, 'channels', 'd', 0)!, /channels: \[ d, "a", b ,c\] # all/);
  assert.match(addEntry(FLOW, 'dependencies', 'numpy >=1,<2')!, /\[python, "r >=4,<5", "numpy >=1,<2", \{pip: \[flask\]\}\]/);
  assert.match(addEntry(FLOW, 'pip', 'requests[socks]')!, /\{pip: \[flask, "requests\[socks\]"\]\}/);
  assert.match(moveEntry(FLOW, 'channels', 0, 2)!, /channels: \[ b, c ,"a"\] # all/);
  assert.match(removeEntry(FLOW, 'channels', 0)!, /channels: \[ b ,c\] # all/);
  assert.match(removeEntry(FLOW, 'channels', 2)!, /channels: \[ "a", b\] # all/);
  assert.match(removeEntry(FLOW, 'pip', 0)!, /dependencies: \[python, "r >=4,<5"\]/);
  assert.match(replaceEntry(FLOW, 'dependencies', 1, 'r')!, /\[python, "r", /);
  assert.equal(addEntry('dependencies: []\n', 'dependencies', 'a'), 'dependencies: [a]\n');
  assert.equal(addEntry('dependencies: [a,]\n', 'dependencies', 'b'), 'dependencies: [a, b,]\n');
  assert.match(addEntry('dependencies: [a]\n', 'pip', 'b')!, /\[a, \{pip: \[b\]\}\]/);
  const spread = 'dependencies: [\n  a, # one\n  b # two\n]\n';
  assert.equal(removeEntry(spread, 'dependencies', 0), 'dependencies: [\n   # one\n  b # two\n]\n');
  assert.equal(addEntry(spread, 'dependencies', 'c'), 'dependencies: [\n  a, # one\n  b, c # two\n]\n');
});

test('lines end as they did, also those that are added', () => {
  const windows = TEXT.replace(/\n/g, '\r\n');
  const steps: (string | null)[] = [
    addEntry(windows, 'dependencies', 'scipy'),
    addEntry(windows, 'channels', 'x', 0),
    addEntry(windows, 'pip', 'attrs'),
    removeEntry(windows, 'dependencies', 3),
    removeEntry(windows, 'pip', 1),
    moveEntry(windows, 'channels', 0, 2),
    setName(windows, 'other'),
    addEntry('name: x\r\n', 'dependencies', 'python'),
    addEntry('name: x\r\ndependencies:\r\n  - python\r\n', 'pip', 'flask')
  ];
  for (const made of steps) {
    assert.ok(made !== null);
    assert.equal(made.replace(/\r\n/g, '').includes('\r'), false);
    assert.equal(made.replace(/\r\n/g, '').includes('\n'), false, JSON.stringify(made));
  }
});

test('what is missing is written where it belongs', () => {
  assert.equal(addEntry('', 'dependencies', 'python'), 'dependencies:\n  - python\n');
  assert.equal(addEntry('name: x', 'dependencies', 'python'), 'name: x\ndependencies:\n  - python\n');
  assert.equal(
    addEntry('name: x\n# what\ndependencies:\n  - a\n', 'channels', 'c'),
    'name: x\nchannels:\n  - c\n# what\ndependencies:\n  - a\n'
  );
  assert.equal(addEntry('channels: # none\nname: x\n', 'channels', 'c'), 'channels: # none\n  - c\nname: x\n');
  assert.equal(addEntry('dependencies: null\n', 'dependencies', 'c'), 'dependencies: \n  - c\n');
  assert.equal(addEntry('dependencies:\n- a', 'pip', 'b'), 'dependencies:\n- a\n- pip:\n    - b');
  assert.equal(addEntry('dependencies:\n  - pip:\n', 'pip', 'b'), 'dependencies:\n  - pip:\n      - b\n');
  assert.equal(addEntry('dependencies:\n  - pip:\n    - b\n', 'dependencies', 'a'), 'dependencies:\n  - a\n  - pip:\n    - b\n');
  assert.equal(addEntry('name: x\n', 'pip', 'b'), 'name: x\ndependencies:\n  - pip:\n      - b\n');
  assert.equal(addEntry('{name: x}\n', 'pip', 'b'), null);
});

test('the last entry of pip takes its list along, unless something is written about it', () => {
  assert.equal(removeEntry('dependencies:\n  - a\n  - pip:\n    - b\n', 'pip', 0), 'dependencies:\n  - a\n');
  assert.equal(removeEntry('dependencies:\n  - a\n  - pip:\n    - b', 'pip', 0), 'dependencies:\n  - a');
  const told = 'dependencies:\n  - a\n  - pip:\n    # why\n    - b\n';
  assert.equal(removeEntry(told, 'pip', 0), 'dependencies:\n  - a\n  - pip:\n    # why\n');
  assert.equal(removeEntry('dependencies:\n  - a\n', 'dependencies', 0), 'dependencies:\n');
});

test('a name is given where it stands', () => {
  assert.match(setName(TEXT, 'other')!, /^name: other {2}# as in the timetable$/m);
  assert.equal(setName('# head\ndependencies: []\n', 'x'), '# head\nname: x\ndependencies: []\n');
  assert.equal(setName('name:\ndependencies: []\n', 'x'), 'name: x\ndependencies: []\n');
  assert.equal(setName('name: "a"\n', '1.10'), 'name: "1.10"\n');
  assert.equal(setName('', 'x'), 'name: x\n');
});

test('what would mean something else is quoted', () => {
  const cases: [string, string][] = [
    ['numpy >=1,<2', '  - numpy >=1,<2'],
    ['numpy[version=">=1"]', '  - numpy[version=">=1"]'],
    ['*', '  - "*"'],
    ['a: b', '  - "a: b"'],
    ['[a"]', `  - '[a"]'`],
    ['-e .', '  - -e .'],
    ['# no', '  - "# no"'],
    ['two\nlines', '  - two lines'],
    ['@ git+https://x', '  - "@ git+https://x"']
  ];
  for (const [value, line] of cases) {
    assert.deepEqual(changedLines(TEXT, addEntry(TEXT, 'dependencies', value)), [[], [line]]);
  }
});

test('a package is put in the place of the same one', () => {
  assert.deepEqual(lists(putDependency(TEXT, 'dependencies', 'matplotlib=3.9')!).dependencies[0], 'matplotlib=3.9');
  assert.deepEqual(lists(putDependency(TEXT, 'pip', 'Flask')!).pip, ['Flask', 'black']);
  assert.deepEqual(lists(putDependency(TEXT, 'dependencies', 'scipy')!).dependencies.at(-1), 'scipy');
  const named = [
    ['conda-forge::numpy>=1', 'numpy'],
    ['requests[socks]>=2', 'requests'],
    ['NumPy =1.2', 'numpy'],
    ['conda-forge/linux-64::r-base', 'r-base'],
    ['zope.interface==1', 'zope.interface']
  ];
  for (const [text, name] of named) {
    assert.equal(nameOf(text!), name);
  }
});

test('comments and empty lines between entries stay where they are', () => {
  const text = 'dependencies:\n  # a\n  - a\n\n  # b\n  - b';
  assert.equal(putDependency(text, 'dependencies', 'c'), `${text}\n  - c`);
  assert.equal(putDependency('dependencies: [\n  python]\n', 'dependencies', 'c'), 'dependencies: [\n  python, c]\n');
  assert.equal(putDependency('@EXPLICIT\nhttps://x/y.conda\n', 'dependencies', 'c'), null);
});

test('any row of edits leaves a text that says what was asked for', () => {
  for (const start of [TEXT, ODD, FLOW, '', 'name: x']) {
    let text = start;
    for (const list of ['channels', 'dependencies', 'pip'] as const) {
      for (const value of ['one', 'two >=1,<2', 'three[x]']) {
        text = addEntry(text, list, value) ?? assert.fail(`${value} into ${list} of ${text}`);
      }
      const count = lists(text)[list].length;
      text = moveEntry(text, list, count - 1, 0) ?? assert.fail(text);
      text = replaceEntry(text, list, 0, 'four') ?? assert.fail(text);
      assert.equal(lists(text)[list][0], 'four');
      while (lists(text)[list].length > 1) {
        text = removeEntry(text, list, 1) ?? assert.fail(text);
      }
      assert.deepEqual(lists(text)[list], ['four']);
    }
  }
});

test('the piece that changed is the shortest', () => {
  assert.deepEqual(difference('abcd', 'abXcd'), { start: 2, end: 2, text: 'X' });
  assert.deepEqual(difference('aaa', 'aa'), { start: 2, end: 3, text: '' });
  assert.deepEqual(difference('same', 'same'), { start: 4, end: 4, text: '' });
});

test('a lock file is known from its text', () => {
  assert.equal(isLockfile('# x\n@EXPLICIT\nhttps://a/b.conda\n'), true);
  assert.equal(isLockfile('version: 1\nmetadata:\n  x: y\npackage:\n- name: a\n'), true);
  assert.equal(isLockfile(TEXT), false);
});
