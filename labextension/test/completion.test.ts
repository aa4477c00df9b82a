/** What is offered while somebody types a package, and what is asked for it. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../src/api';
import { suggest } from '../src/completion';
import { answer, FakeServer } from './server';

const WHERE = { namespace: 'alice', channels: ['main', 'other'] };

function serve(): FakeServer {
  return new FakeServer(request => {
    if (new URL(request.url).pathname.endsWith('/package/')) {
      const data = [{ id: 1, name: 'numpy', channel: {}, version: '2.1', versions: 3, summary: 'Arrays' }];
      return answer(200, { data, count: 1, problems: [{ channel: 'other', message: 'It is away.' }] });
    }
    const one = (version: string, channel: string) => ({ name: 'numpy', version, channel });
    return answer(200, { data: [one('2.1', 'main'), one('2.1', 'other'), one('2.0', 'main'), one('1.9', 'main')], count: 4 });
  });
}

async function ask(text: string, where = WHERE) {
  const server = serve();
  const found = await suggest(new Api(server.settings), text, where, new AbortController().signal);
  return { server, found };
}

test('a part of a name is searched in the channels of the specification', async () => {
  const { server, found } = await ask(' nump ');
  assert.deepEqual(found.items, [{ value: 'numpy', label: 'numpy', detail: '2.1 · Arrays', isWhole: false }]);
  assert.deepEqual(found.problems, ['other: It is away.']);
  const { query } = server.requests[0]!;
  assert.deepEqual([query.get('search'), query.get('namespace'), query.getAll('channel')], ['nump', 'alice', ['main', 'other']]);
});

test('without channels, those of the namespace are searched', async () => {
  const { server } = await ask('nump', { namespace: '', channels: [] });
  const { query } = server.requests[0]!;
  assert.deepEqual([query.has('channel'), query.has('namespace')], [false, false]);
});

test('behind a name, versions are offered, each once, with where it is', async () => {
  const cases: [string, string[]][] = [
    ['numpy=', ['numpy=2.1', 'numpy=2.0', 'numpy=1.9']],
    ['NumPy >= 2', ['NumPy>=2.1', 'NumPy>=2.0']],
    ['numpy==1.*', ['numpy==1.9']],
    ['numpy<3', []]
  ];
  for (const [text, values] of cases) {
    const { server, found } = await ask(text);
    assert.deepEqual(
      found.items.map(one => one.value),
      values,
      text
    );
    assert.equal(server.count('package/numpy/'), 1);
  }
  const { found } = await ask('numpy=2.1');
  assert.deepEqual(found.items, [{ value: 'numpy=2.1', label: '2.1', detail: 'main, other', isWhole: true }]);
});

test('what is no name and no version is not asked about', async () => {
  for (const text of ['numpy[version=1]', 'numpy >=1,<2', 'a b', '', 'https://x/y']) {
    const { server, found } = await ask(text);
    assert.deepEqual([server.requests.length, found.items.length], [0, 0], text);
  }
});
