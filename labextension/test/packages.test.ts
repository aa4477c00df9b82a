/** The packages of a build: when they are asked for, and what of several answers counts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../src/api';
import { BuildPackages } from '../src/packages';
import { answer, FakeServer } from './server';

const NAMES = Array.from({ length: 250 }, (_, index) => `p${String(index).padStart(3, '0')}`);

/** A service with a build of 250 packages. */
function serve(held: Map<string, Promise<void>> = new Map()): FakeServer {
  return new FakeServer(async request => {
    const { pathname, searchParams } = new URL(request.url);
    if (pathname.endsWith('/departed/')) {
      return answer(200, { data: { gone: [{ name: 'p001' }], changed: [], unknown: [], problems: [] } });
    }
    const search = searchParams.get('search') ?? '';
    await held.get(search);
    const [page, size] = [Number(searchParams.get('page')), Number(searchParams.get('size'))];
    const found = NAMES.filter(name => name.includes(search)).map((name, id) => ({ id, name }));
    return answer(200, { data: found.slice((page - 1) * size, page * size), count: found.length });
  });
}

function make(server: FakeServer): BuildPackages {
  return new BuildPackages(new Api(server.settings), 7);
}

test('they come page by page until all are there, with why each is', async () => {
  const server = serve();
  const packages = make(server);
  assert.deepEqual([packages.items, server.requests.length], [null, 0]);
  await packages.find('');
  assert.deepEqual([packages.items!.length, packages.count], [100, 250]);
  await packages.more();
  await packages.more();
  await packages.more();
  assert.deepEqual(packages.items!.map(one => one.name), NAMES);
  assert.equal(server.count('build/7/packages/'), 3);
  assert.ok(server.requests.every(one => one.query.get('why') === 'true'));
});

test('a search begins anew, and an answer that comes too late is not shown', async () => {
  let release = () => undefined as void;
  const held = new Map([['p1', new Promise<void>(resolve => (release = resolve))]]);
  const packages = make(serve(held));
  const late = packages.find('p1');
  await packages.find(' p24 ');
  release();
  await late;
  assert.deepEqual([packages.items!.map(one => one.name)[0], packages.count, packages.isLoading], ['p240', 10, false]);
});

test('departed packages are asked for by themselves, and one failure does not hide the other answer', async () => {
  const server = serve();
  const packages = make(server);
  await packages.find('');
  assert.equal(server.count('build/7/departed/'), 0);
  await packages.checkDeparted();
  assert.deepEqual(packages.departed!.gone.map(one => one.name), ['p001']);

  const down = make(new FakeServer(() => answer(503, { code: 'unavailable', message: 'It is away.' })));
  await down.checkDeparted();
  assert.deepEqual([down.departedProblem?.message, down.problem], ['It is away.', null]);
  await down.find('');
  assert.deepEqual([down.problem?.message, down.items, down.isLoading], ['It is away.', null, false]);
});
