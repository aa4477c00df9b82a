/** What a page of an environment shows, and a log as it grows. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Signal } from '@lumino/signaling';
import { ApiError } from '../src/api';
import { LogModel } from '../src/log';
import { type BuildSummary, COMMANDS, type IApi, type IEnvironments, type LogEvent } from '../src/tokens';
import { EnvironmentView } from '../src/view';

const TARGET = { namespace: 'alice', name: 'ml' };

function summary(id: number, more: Partial<BuildSummary> = {}): BuildSummary {
  return { id, status: 'COMPLETED', active: false, deleted_on: null, ...more } as BuildSummary;
}

/** A model with an API of some functions, and someone who may what is listed. */
function makeModel(api: object, permissions: readonly string[] = []): IEnvironments & { emitNews: () => void } {
  const source = {};
  const news = new Signal<object, void>(source);
  return {
    api,
    news,
    emitNews: () => news.emit(),
    may: (permission: string) => permissions.includes(permission),
    watch: () => ({ dispose: () => undefined, isDisposed: false })
  } as unknown as IEnvironments & { emitNews: () => void };
}

function makeApi(builds: BuildSummary[]): IApi {
  return {
    environment: async () => ({ id: 1, name: 'ml', namespace: { name: 'alice' }, current_build_id: 1 }),
    builds: async (query: { after?: number; size: number }) => {
      const rest = query.after === undefined ? builds : builds.filter(one => one.id < query.after!);
      return { items: rest.slice(0, Math.min(query.size, 100)), count: builds.length };
    },
    build: async (id: number) => summary(id)
  } as unknown as IApi;
}

test('older builds are asked for behind the last one, and stay when all is asked for again', async () => {
  const builds = Array.from({ length: 50 }, (_, index) => summary(50 - index));
  const view = new EnvironmentView(makeModel(makeApi(builds)), TARGET);
  await view.refresh();
  assert.deepEqual([view.builds.length, view.count], [20, 50]);
  await view.more();
  assert.deepEqual([view.builds.length, view.builds[39]!.id], [40, 11]);
  await view.refresh();
  assert.equal(view.builds.length, 40);
});

test('so many builds as are shown stay, though the service gives fewer at once', async () => {
  const builds = Array.from({ length: 130 }, (_, index) => summary(130 - index));
  const view = new EnvironmentView(makeModel(makeApi(builds)), TARGET);
  await view.refresh();
  while (view.builds.length < view.count) {
    await view.more();
  }
  await view.refresh();
  assert.deepEqual(
    view.builds.map(one => one.id),
    builds.map(one => one.id)
  );
});

test('what is pushed is asked about only while the page is shown', async () => {
  let asked = 0;
  const api = makeApi([summary(1)]);
  const counted = { ...api, environment: (...names: [string, string]) => ((asked += 1), api.environment(...names)) };
  const model = makeModel(counted);
  const view = new EnvironmentView(model, TARGET);
  model.emitNews();
  assert.equal(asked, 0);
  view.show();
  model.emitNews();
  assert.equal(asked, 2);
  view.hide();
  model.emitNews();
  assert.equal(asked, 2);
});

test('a page waits while files of the active build are being made', async () => {
  const file = (state: string) => ({ artifact_type: 'YAML', state, address: 'api/v1/build/1/environment.yaml' });
  const shown = async (build: object | null) => {
    const api = { ...makeApi([]), environment: async () => ({ id: 1, current_build: build }) };
    const view = new EnvironmentView(makeModel(api), TARGET);
    await view.refresh();
    return view.isWaiting;
  };
  assert.equal(await shown({ build_artifacts: [], unfinished_artifacts: [file('PENDING')] }), true);
  assert.equal(await shown({ build_artifacts: [], unfinished_artifacts: [file('FAILED')] }), false);
  assert.equal(await shown({ build_artifacts: [file('READY')] }), false);
  assert.equal(await shown(null), false);
});

test('an environment that is gone is told from a service that is down', async () => {
  const failing = (status: number) => ({
    environment: async () => {
      throw new ApiError('No.', 'some-code', status);
    }
  });
  const gone = new EnvironmentView(makeModel(failing(404)), TARGET);
  await gone.refresh();
  assert.deepEqual([gone.isGone, gone.problem?.message], [true, 'No.']);
  const down = new EnvironmentView(makeModel(failing(503)), TARGET);
  await down.refresh();
  assert.equal(down.isGone, false);
});

test('an environment is gone whatever was opened of it, and not because of a build that is', async () => {
  let isThere = true;
  const missing = new ApiError('No.', 'not-found', 404);
  const { environment, ...api } = makeApi([summary(1)]);
  const find = async (...names: [string, string]) => (isThere ? environment(...names) : Promise.reject(missing));
  const view = new EnvironmentView(makeModel({ ...api, diff: () => Promise.reject(missing), environment: find }), TARGET);
  await view.refresh();
  await view.openDiff(1, 2);
  assert.deepEqual([view.isGone, view.problem?.message], [false, 'No.']);
  await view.openBuild(1);
  isThere = false;
  await view.refresh();
  assert.equal(view.isGone, true);
  isThere = true;
  await view.refresh();
  assert.deepEqual([view.isGone, view.problem], [false, null]);
});

test('of a build is offered what makes sense, to whom may do it', () => {
  const all = ['environment::update', 'build::cancel', 'build::delete'];
  const view = new EnvironmentView(makeModel({}, all), TARGET);
  const { activateBuild, cancelBuild, deleteBuild, togglePin } = COMMANDS;
  assert.deepEqual(view.offers(summary(1, { active: true })), [togglePin]);
  assert.deepEqual(view.offers(summary(1)), [activateBuild, togglePin, deleteBuild]);
  assert.deepEqual(view.offers(summary(1, { status: 'BUILDING' })), [cancelBuild]);
  assert.deepEqual(view.offers(summary(1, { status: 'FAILED' })), []);
  assert.deepEqual(view.offers(summary(1, { deleted_on: '2026-01-01' })), []);
  assert.deepEqual(new EnvironmentView(makeModel({}), TARGET).offers(summary(1)), []);
});

async function follow(...events: LogEvent[]): Promise<{ log: LogModel; turned: number }> {
  async function* followLog(): AsyncGenerator<LogEvent> {
    for (const event of events) {
      yield event;
    }
  }
  const log = new LogModel({ followLog } as unknown as IApi, 7);
  let turned = 0;
  log.turned.connect(() => (turned += 1));
  await log.follow();
  return { log, turned };
}

test('of a long log the end is kept, from the beginning of a line', async () => {
  const line = `${'x'.repeat(99)}\n`;
  const { log } = await follow(
    { kind: 'log', text: line.repeat(4500), offset: 450_000 },
    { kind: 'log', text: 'the end\n', offset: 450_008 },
    { kind: 'end' }
  );
  assert.ok(log.text.length <= 400_000);
  assert.ok(log.text.startsWith('xxx') && log.text.endsWith('x\nthe end\n'));
  assert.equal((log.text.length - 'the end\n'.length) % line.length, 0);
  assert.deepEqual([log.isCut, log.isComplete], [true, true]);
});

test('of a long log no more than has to be is left out, whatever its lines are', async () => {
  const first = `${'x'.repeat(99)}\n`.repeat(4500);
  const { log } = await follow(
    { kind: 'log', text: first, offset: first.length },
    { kind: 'log', text: 'one\n', offset: first.length + 4 },
    { kind: 'log', text: 'two\n', offset: first.length + 8 }
  );
  assert.ok(log.text.length > 399_900 && log.text.endsWith('x\none\ntwo\n'));
  const line = await follow({ kind: 'log', text: `${'y'.repeat(500_000)}\n`, offset: 500_001 });
  assert.equal(line.log.text.length, 400_000);
});

test('what else is shown of a build is old when its state or its phase turns', async () => {
  const progress = { kind: 'progress', phase: 'install', total: 2, unit: 'packages' } as const;
  const { log, turned } = await follow(
    { kind: 'state', status: 'BUILDING', info: null },
    { ...progress, done: 1 },
    { ...progress, done: 2 },
    { kind: 'state', status: 'BUILDING', info: null },
    { kind: 'state', status: 'COMPLETED', info: null },
    { kind: 'end' }
  );
  assert.equal(turned, 4);
  assert.deepEqual([log.status, log.progress?.done], ['COMPLETED', 2]);
});
