/** What is known of environments that are made on the user's machine, and how they are cancelled. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api, ApiError } from '../src/api';
import { Makings } from '../src/model/makings';
import type { IMakingNews } from '../src/tokens';
import { answer, FakeServer } from './server';

const NEWS: IMakingNews = {
  kernel_id: 'k1',
  environment: 'alice/ml',
  build_id: 7,
  state: 'making',
  phase: 'ask',
  done: 0,
  total: 0,
  unit: '',
  message: ''
};

function tell(makings: Makings, ...news: Partial<IMakingNews>[]): Makings {
  news.forEach(one => makings.tell({ ...NEWS, ...one }));
  return makings;
}

function shown(makings: Makings): [number, readonly string[]][] {
  return makings.current.map(one => [one.news.build_id, one.kernels]);
}

test('a build is shown once, with all kernels that wait for it, until each has been told of its end', () => {
  const makings = new Makings({ cancelMaking: async () => undefined });
  let changes = 0;
  makings.changed.connect(() => (changes += 1));
  tell(makings, {}, { kernel_id: 'k2' }, { kernel_id: 'k3', build_id: 8 }, { phase: 'link' });
  assert.deepEqual(shown(makings), [
    [7, ['k1', 'k2']],
    [8, ['k3']]
  ]);
  tell(makings, { state: 'cancelled' }, { kernel_id: 'k3', build_id: 8, state: 'ready' });
  assert.deepEqual(shown(makings), [[7, ['k2']]]);
  tell(makings, { kernel_id: 'k2', state: 'failed' });
  assert.deepEqual([shown(makings), changes], [[], 7]);
});

test('it is cancelled at the server, which tells of the end', async () => {
  const server = new FakeServer(() => answer(200, { kernels: ['k1'] }));
  const makings = tell(new Makings(new Api(server.settings)), {});
  await makings.cancel('k1');
  const [asked] = server.requests;
  assert.deepEqual([asked!.method, asked!.path], ['DELETE', '/user/alice/conda-store-hub/api/making/k1']);
  assert.deepEqual(shown(makings), [[7, ['k1']]]);
});

test('what has ended without this page hearing of it goes from the list when one cancels it', async () => {
  const server = new FakeServer(() => answer(404, { code: 'not-found', message: 'Nothing is being made for it.' }));
  const makings = tell(new Makings(new Api(server.settings)), {}, { kernel_id: 'k2', build_id: 8 });
  const told: string[] = [];
  makings.news.connect((_, news) => told.push(`${news.kernel_id} ${news.state}`));
  await makings.cancel('k1');
  assert.deepEqual([shown(makings), told], [[[8, ['k2']]], ['k1 cancelled']]);
});

test('a server that does not answer is said, and nothing is taken for cancelled', async () => {
  const server = new FakeServer(() => answer(403, { code: 'forbidden', message: 'No.' }));
  const makings = tell(new Makings(new Api(server.settings)), {});
  await assert.rejects(makings.cancel('k1'), (error: Error) => error instanceof ApiError && error.status === 403);
  assert.deepEqual(shown(makings), [[7, ['k1']]]);
});
