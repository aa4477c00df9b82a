/** Which build a kernel runs in, and when another one is offered. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Api } from '../src/api';
import { followName, pinName, pinOf } from '../src/kernels';
import { RunningBuilds } from '../src/running';
import type { IRunningKernel } from '../src/tokens';
import { answer, FakeServer } from './server';

class World {
  active = 7;
  kept: object | undefined;
  told: IRunningKernel[] | null = null;
  down = false;

  open(): RunningBuilds {
    const find = (name: string) => (name === 'csh' ? { namespace: 'alice', name: 'ml', buildId: this.active } : null);
    const database = {
      fetch: async () => this.kept as never,
      save: async (_: string, value: object) => {
        this.kept = value;
      }
    };
    const api = {
      running: async () => {
        if (this.down) {
          throw new Error('It is down.');
        }
        return this.told;
      }
    };
    return new RunningBuilds({ findByKernel: find, api }, database as never);
  }
}

const KERNEL = { id: 'k1', name: 'csh' };

test('a kernel keeps its build when another becomes active, until it starts again', () => {
  const world = new World();
  const running = world.open();
  running.noteStart(KERNEL);
  assert.deepEqual(running.find(KERNEL), { namespace: 'alice', name: 'ml', buildId: 7, next: null, pinned: false });
  world.active = 8;
  assert.deepEqual(running.find(KERNEL), { namespace: 'alice', name: 'ml', buildId: 7, next: 8, pinned: false });
  running.noteStart(KERNEL);
  assert.equal(running.find(KERNEL)?.next, null);
  assert.equal(running.find({ id: 'k2', name: 'python3' }), null);
});

test('a kernel that is kept in a build is offered no other', () => {
  const kept = { id: 'k3', name: 'csh.alice.ml.python3.b5' };
  const findByKernel = (name: string) => (name === kept.name ? { namespace: 'alice', name: 'ml', buildId: 5 } : null);
  const running = new RunningBuilds({ findByKernel, api: { running: async () => null } }, null);
  running.noteStart(kept);
  assert.deepEqual(running.find(kept), { namespace: 'alice', name: 'ml', buildId: 5, next: null, pinned: true });
});

test('the names of one kernel lead to each other', () => {
  const follows = 'csh.alice.ml.b7'; // a kernel that is called so
  assert.deepEqual([pinOf(follows), pinOf('csh.alice.ml.python3'), pinOf(pinName(follows, 5))], [null, null, 5]);
  assert.equal(pinName(pinName(follows, 5), 6), 'csh.alice.ml.b7.b6');
  assert.equal(followName(pinName(follows, 5)), follows);
  assert.equal(followName('python3'), 'python3');
});

test('it is known after the page was loaded again', async () => {
  const world = new World();
  world.open().noteStart(KERNEL);
  world.active = 8;
  const again = world.open();
  await again.load();
  assert.equal(again.find(KERNEL)?.buildId, 7);
});

test('what is kept and makes no sense is passed over', async () => {
  const world = new World();
  world.kept = { k1: 'seven', k2: null };
  const running = world.open();
  await running.load();
  assert.equal(running.find(KERNEL)?.buildId, 7);
});

test('what the server tells counts, and without it what was seen', async () => {
  const world = new World();
  const running = world.open();
  await running.refresh();
  assert.equal(running.find(KERNEL)?.buildId, 7);
  world.told = [{ kernel_id: 'k1', build_id: 5, active_build_id: 7, pinned: false }];
  await running.refresh();
  assert.deepEqual(running.find(KERNEL), { namespace: 'alice', name: 'ml', buildId: 5, next: 7, pinned: false });
  world.down = true;
  await running.refresh();
  assert.equal(running.find(KERNEL)?.buildId, 5);
});

test('the server is asked at its own address, and one that does not know it tells nothing', async () => {
  const told = [{ kernel_id: 'k1', build_id: 5, active_build_id: 7, pinned: false }];
  const server = new FakeServer(() => answer(200, { kernels: told }));
  assert.deepEqual(await new Api(server.settings).running(), told);
  assert.equal(server.requests[0]!.path, '/user/alice/conda-store-hub/api/running');
  const older = new FakeServer(() => answer(404, { message: 'Not Found' }));
  assert.equal(await new Api(older.settings).running(), null);
});
