/** When the model asks, what it keeps, and what it makes of pushes. */
import assert from 'node:assert/strict';
import { afterEach, test } from 'node:test';
import { Signal } from '@lumino/signaling';
import { Api } from '../src/api';
import { BegunBuilds } from '../src/model/begun';
import { EnvironmentsModel } from '../src/model';
import { type Environment, EVENTS, PAGE } from '../src/tokens';
import { answer, FakeServer } from './server';

const ME = 'alice';

/** A service with some namespaces and environments, and the server's kernels and events. */
class World {
  readonly source = {};
  readonly events = new Signal<object, never>(this.source);
  readonly specsChanged = new Signal<object, never>(this.source);
  readonly runningChanged = new Signal<object, never>(this.source);
  environments = new Map<string, Environment[]>();
  /** Of namespaces that are not listed. */
  hidden = new Map<string, Environment[]>();
  running: { name: string }[] = [];
  specs: Record<string, object> = {};
  refreshedSpecs = 0;
  queued: object[] = [];
  down = false;
  permissions: Record<string, string[]> = { 'alice/*': ['environment:create', 'environment::read'] };
  readonly server = new FakeServer(request => this.answer(new URL(request.url)));
  readonly model: EnvironmentsModel;

  constructor(refreshSeconds = 0, probablyOwn = '') {
    this.put(ME, 'ml');
    this.model = new EnvironmentsModel({
      api: new Api(this.server.settings),
      events: this.events,
      kernels: { running: () => this.running.values(), runningChanged: this.runningChanged } as never,
      kernelspecs: {
        specs: this.kernelspecs(),
        specsChanged: this.specsChanged,
        refreshSpecs: async () => {
          this.refreshedSpecs += 1;
        }
      } as never,
      probablyOwn,
      refreshSeconds
    });
    worlds.push(this);
  }

  kernelspecs(): object {
    return { kernelspecs: this.specs };
  }

  put(namespace: string, ...names: string[]): void {
    const made = names.map((name, index) => makeEnvironment(namespace, name, index + 1));
    this.environments.set(namespace, made);
  }

  push(schema: string, data: object): void {
    this.events.emit({ schema_id: schema, ...data } as never);
  }

  answer(url: URL): Response {
    if (this.down) {
      return answer(503, { status: 'error', code: 'service-unreachable', message: 'It is down.' });
    }
    const path = url.pathname.split('/conda-store-hub/api/v1/')[1]!;
    const one = /^environment\/([^/]+)\/([^/]+)\/$/.exec(path);
    if (one) {
      const found = this.environments.get(one[1]!)?.find(environment => environment.name === one[2]);
      return found
        ? answer(200, { status: 'ok', data: found })
        : answer(404, { status: 'error', code: 'not-found', message: 'There is none.' });
    }
    switch (path) {
      case 'permission/':
        return answer(200, { data: { primary_namespace: ME, entity_permissions: this.permissions } });
      case 'usage/':
        return answer(200, { data: { alice: { num_environments: 1, num_builds: 2, storage: 3000 } } });
      case 'specification/':
        return answer(200, { status: 'ok', data: { build_id: 9 } });
      case 'build/':
        return page(url, this.queued);
      case 'namespace/': {
        const data = [...this.environments].map(([name, list]) => ({ id: 1, name, environments: list.length }));
        return page(url, data);
      }
      default: {
        const namespace = url.searchParams.get('namespace');
        const search = url.searchParams.get('search') ?? '';
        const lists = [...this.environments, ...this.hidden].filter(([name]) => namespace === null || name === namespace);
        return page(
          url,
          lists.flatMap(([, list]) => list.filter(item => item.name.includes(search)))
        );
      }
    }
  }
}

const worlds: World[] = [];

afterEach(() => {
  worlds.splice(0).forEach(world => world.model.dispose());
});

function page(url: URL, data: object[]): Response {
  const size = Number(url.searchParams.get('size'));
  const start = (Number(url.searchParams.get('page') ?? 1) - 1) * size;
  return answer(200, { status: 'ok', data: data.slice(start, start + size), count: data.length });
}

function makeEnvironment(namespace: string, name: string, id: number): Environment {
  return {
    id,
    namespace: { id: 1, name: namespace, kind: 'user' },
    name,
    current_build_id: null,
    latest_status: 'COMPLETED'
  } as Environment;
}

function numbered(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `e${String(index).padStart(4, '0')}`);
}

/** Wait until something holds; the tests' own time-out ends what never does. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) {
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}

/** Let pass what would happen if something did: pushes are gathered for less. */
async function settle(): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, 400));
}

test('nothing is asked for while nobody watches, whatever is pushed', async () => {
  const world = new World(0.01);
  world.push(EVENTS.environments, { namespace: ME, environment: 'ml', build_id: 1, status: 'COMPLETED' });
  world.model.setFavourites(['alice/ml']);
  await settle();
  assert.equal(world.server.requests.length, 0);
});

test('who watches sees their own namespace first, and others when they are opened', async () => {
  const world = new World();
  world.environments.clear();
  world.put('aaa', 'x', 'y');
  world.put(ME, 'ml');
  world.model.watch();
  await until(() => world.model.standing === 'ready');
  const seen = () => world.model.namespaces.map(one => [one.namespace.name, one.environments.length, one.count]);
  assert.deepEqual(seen(), [
    [ME, 1, 1],
    ['aaa', 0, 2]
  ]);
  await world.model.load('aaa');
  assert.deepEqual(seen()[1], ['aaa', 2, 2]);
  assert.deepEqual([world.model.size(ME), world.model.size('aaa')], [3000, null]);
});

test('of five hundred environments one page is asked for, and more when they are wanted', async () => {
  const world = new World();
  world.put(ME, ...numbered(500));
  world.model.watch();
  await until(() => world.model.standing === 'ready');
  const own = () => world.model.namespaces[0]!;
  assert.deepEqual([own().environments.length, own().count], [PAGE, 500]);
  assert.equal(world.server.count('environment/'), 1);
  await world.model.load(ME);
  assert.deepEqual([own().environments.length, own().environments[PAGE]!.name], [2 * PAGE, 'e0100']);
  await world.model.refresh();
  assert.equal(own().environments.length, 2 * PAGE);
});

for (const probablyOwn of [ME, 'somebody-else']) {
  test(`one’s own environments are asked for once, guessed as those of ${probablyOwn}`, async () => {
    const world = new World(0, probablyOwn);
    world.model.watch();
    await until(() => world.model.standing === 'ready');
    assert.deepEqual(
      world.model.namespaces[0]!.environments.map(one => one.name),
      ['ml']
    );
    const own = world.server.requests.filter(one => one.query.get('namespace') === ME);
    assert.equal(own.length, 1);
  });
}

test('a search is the service’s, and what was typed last counts', async () => {
  const world = new World();
  world.put(ME, ...numbered(300));
  const first = world.model.find('e00');
  const second = world.model.find(' e01 ');
  await Promise.all([first, second]);
  const found = () => world.model.search!;
  assert.deepEqual([found().text, found().environments.length, found().count], ['e01', 100, 100]);
  await world.model.find('e0');
  assert.deepEqual([found().environments.length, found().count], [PAGE, 300]);
  await world.model.findMore();
  assert.equal(found().environments.length, 2 * PAGE);
  await world.model.find('');
  assert.equal(world.model.search, null);
});

test('a push is asked about once while somebody watches, and when somebody watches again', async () => {
  const world = new World();
  const watching = world.model.watch();
  await until(() => world.model.standing === 'ready');
  const before = world.server.count('permission/');
  world.push(EVENTS.environments, { namespace: ME, environment: 'ml', build_id: null, status: null });
  world.push(EVENTS.environments, { namespace: ME, environment: 'ml', build_id: null, status: null });
  await settle();
  assert.equal(world.server.count('permission/'), before + 1);
  watching.dispose();
  world.push(EVENTS.environments, { namespace: ME, environment: 'ml', build_id: null, status: null });
  await settle();
  assert.equal(world.server.count('permission/'), before + 1);
  world.model.watch();
  await until(() => world.server.count('permission/') === before + 2);
});

test('each state of a build is told to who watches, and else to the page that has begun it', async () => {
  const world = new World();
  const news: number[] = [];
  world.model.buildChanged.connect((_, one) => news.push(one.buildId));
  const tell = (build_id: number, status: string | null) =>
    world.push(EVENTS.environments, { namespace: null, environment: null, build_id, status });
  tell(7, 'FAILED');
  assert.deepEqual(news, []);
  assert.equal(await world.model.api.submit({ specification: 'name: ml' }), 9);
  tell(9, 'COMPLETED');
  tell(9, null);
  world.push('https://events.jupyter.org/other', { build_id: 9, status: 'FAILED' });
  assert.deepEqual(news, [9]);
  world.model.watch();
  tell(7, 'FAILED');
  assert.deepEqual(news, [9, 7]);
});

test('which builds a page has begun is known after it was loaded again, whatever the storage holds', () => {
  const kept = new Map<string, string>();
  const tab = {
    getItem: (key: string) => kept.get(key) ?? null,
    setItem: (key: string, value: string) => void kept.set(key, value),
    removeItem: (key: string) => void kept.delete(key)
  };
  const begun = new BegunBuilds(tab);
  [7, 8].forEach(one => begun.note(one));
  const again = new BegunBuilds(tab);
  assert.deepEqual([again.has(7), again.has(8), again.has(9)], [true, true, false]);
  assert.equal(new BegunBuilds(null).has(7), false);
  kept.forEach((_, key) => kept.set(key, 'nonsense'));
  assert.equal(new BegunBuilds(tab).has(7), false);
});

test('the picker is asked to look at kernels as soon as they have changed', () => {
  const world = new World();
  world.push(EVENTS.kernels, { added: ['k'], removed: [], changed: [] });
  assert.equal(world.refreshedSpecs, 1);
});

test('a build that goes on is looked at until it has ended, and no longer', async () => {
  const world = new World(0.02);
  const [ml] = world.environments.get(ME)!;
  world.environments.set(ME, [{ ...ml!, latest_status: 'BUILDING' }]);
  world.model.watch();
  await until(() => world.server.count('permission/') >= 3);
  world.environments.set(ME, [ml!]);
  await until(() => world.model.namespaces[0]!.environments[0]!.latest_status === 'COMPLETED');
  const asked = world.server.requests.length;
  await settle();
  assert.equal(world.server.requests.length, asked);
});

test('while somebody waits for what nobody pushes there is news now and then, and no longer', async () => {
  const world = new World(0.02);
  let waits = true;
  let news = 0;
  world.model.news.connect(() => (news += 1));
  const watching = world.model.watch(() => waits);
  await until(() => news >= 2);
  waits = false;
  await settle();
  const before = news;
  await settle();
  assert.equal(news, before);
  waits = true;
  await until(() => news > before);
  watching.dispose();
  world.model.watch();
  await settle();
  const after = news;
  await settle();
  assert.equal(news, after);
});

test('a service that is down is said, what was known stays, and it is noticed when it is back', async () => {
  const world = new World(0.02);
  world.model.watch();
  await until(() => world.model.standing === 'ready');
  world.down = true;
  await world.model.refresh();
  assert.deepEqual([world.model.standing, world.model.problem?.message], ['unavailable', 'It is down.']);
  assert.equal(world.model.namespaces[0]!.environments.length, 1);
  world.down = false;
  await until(() => world.model.standing === 'ready');
  assert.equal(world.model.problem, null);
});

test('favourites are shown from wherever they are, and not when they are gone', async () => {
  const world = new World();
  world.put('group.team', 'x');
  world.model.setFavourites(['group.team/x', 'alice/gone', 'nonsense']);
  world.model.watch();
  await until(() => world.model.standing === 'ready');
  assert.deepEqual(
    world.model.favourites.map(one => one.name),
    ['x']
  );
  assert.equal(world.model.isFavourite({ namespace: 'alice', name: 'gone' }), true);
  world.model.setFavourites([]);
  assert.deepEqual(world.model.favourites, []);
});

test('a single environment that was shared is shown in its namespace, which is not one’s to list', async () => {
  const world = new World();
  const list = world.hidden;
  list.set('bob', [makeEnvironment('bob', 'x', 9)]);
  world.permissions = { 'alice/*': ['environment:create'], 'bob/x': ['environment::read'] };
  world.model.watch();
  await until(() => world.model.standing === 'ready');
  assert.deepEqual(
    world.model.namespaces.map(one => [one.namespace.name, one.count]),
    [
      ['alice', 1],
      ['bob', 1]
    ]
  );
  await world.model.load('bob');
  assert.equal(world.model.namespaces[1]!.environments[0]!.name, 'x');
});

test('rights on a namespace are rights on what is in it, and not the other way round', async () => {
  const world = new World();
  world.put('bob', 'x');
  world.permissions = { 'alice/*': ['environment:create'], 'bob/x': ['environment::update'] };
  world.model.watch();
  await until(() => world.model.standing === 'ready');
  const { model } = world;
  assert.deepEqual(
    [
      model.may('environment:create', 'alice', 'ml'),
      model.may('environment::update', 'bob', 'x'),
      model.may('environment::update', 'bob', 'y'),
      model.may('environment::update', 'bob'),
      model.may('environment::delete', 'alice')
    ],
    [true, true, false, false, false]
  );
  assert.deepEqual(model.writableNamespaces, ['alice']);
});

test('who waits is told their place, which is asked for only if somebody does', async () => {
  const world = new World();
  world.model.watch();
  await until(() => world.model.standing === 'ready');
  assert.equal(world.server.count('build/'), 0);
  const [ml] = world.environments.get(ME)!;
  const waiting = { ...ml!, latest_status: 'QUEUED', latest_build_id: 7 } as Environment;
  world.environments.set(ME, [waiting]);
  world.queued = [{ id: 7, position: 3 }];
  await world.model.refresh();
  assert.equal(world.model.position(waiting), 3);
  assert.equal(world.model.position(ml!), null);
});

test('kernels of an environment are known from the server’s list, and who runs in them', () => {
  const world = new World();
  world.specs['csh.alice.ml.python3'] = {
    name: 'csh.alice.ml.python3',
    display_name: 'alice/ml · Python 3',
    language: 'python',
    metadata: { Namespace: 'alice', conda_env_name: 'ml', conda_store_hub: { build_id: 7 } }
  };
  world.specs['python3'] = { name: 'python3', display_name: 'Python 3', language: 'python', metadata: {} };
  world.running = [
    { name: 'csh.alice.ml.python3' },
    { name: 'csh.alice.ml.python3.b5' },
    { name: 'csh.alice.ml.python3.bx' },
    { name: 'python3' }
  ];
  const { model } = world;
  assert.deepEqual(
    model.kernels({ namespace: 'alice', name: 'ml' }).map(one => [one.kernelName, one.buildId]),
    [['csh.alice.ml.python3', 7]]
  );
  assert.deepEqual(model.kernels({ namespace: 'alice', name: 'other' }), []);
  assert.equal(model.countRunning({ namespace: 'alice', name: 'ml' }), 2);
  assert.deepEqual(model.findByKernel('csh.alice.ml.python3'), { namespace: 'alice', name: 'ml', buildId: 7 });
  assert.deepEqual(model.findByKernel('csh.alice.ml.python3.b5'), { namespace: 'alice', name: 'ml', buildId: 5 });
  assert.equal(model.findByKernel('python3'), null);
});

/** The kernel of alice/ml as the server lists it, or one that is pinned to a build. */
function listKernel(kernelName: string, buildId: number, more: object = {}): Record<string, object> {
  const metadata = { Namespace: 'alice', conda_env_name: 'ml', conda_store_hub: { build_id: buildId, ...more } };
  return { [kernelName]: { name: kernelName, display_name: kernelName, language: 'python', metadata } };
}

test('new notebooks get the kernel of the active build, though a pinned one is listed first', () => {
  const world = new World();
  Object.assign(world.specs, listKernel('csh.alice.ml.python3.b5', 5), listKernel('csh.alice.ml.python3', 7));
  world.running = [{ name: 'csh.alice.ml.python3.b5' }, { name: 'csh.alice.ml.python3' }];
  const target = { namespace: 'alice', name: 'ml' };
  assert.deepEqual(
    world.model.kernels(target).map(one => one.kernelName),
    ['csh.alice.ml.python3']
  );
  assert.equal(world.model.countRunning(target), 2);
  assert.equal(world.model.findByKernel('csh.alice.ml.python3.b5')?.buildId, 5);
  assert.equal(world.model.findByKernel('csh.alice.ml.python3')?.buildId, 7);
});

test('a notebook under a name that its environment had is in what that is now, unless another one has the name', () => {
  const world = new World();
  const [old, follows] = ['csh.alice.old.python3', 'csh.alice.ml.python3'];
  Object.assign(world.specs, listKernel(follows, 7, { aliases: [old] }));
  world.running = [{ name: old }, { name: `${old}.b5` }];
  assert.equal(world.model.countRunning({ namespace: 'alice', name: 'ml' }), 2);
  assert.deepEqual(world.model.findByKernel(old), { namespace: 'alice', name: 'ml', buildId: 7 });
  assert.deepEqual(world.model.findByKernel(`${old}.b5`), { namespace: 'alice', name: 'ml', buildId: 5 });
  const [another] = Object.values(listKernel(old, 9)) as { metadata: { conda_env_name: string } }[];
  another!.metadata.conda_env_name = 'old';
  const other = new World();
  Object.assign(other.specs, world.specs, { [old]: another });
  other.running = world.running;
  assert.deepEqual(other.model.findByKernel(old), { namespace: 'alice', name: 'old', buildId: 9 });
  assert.equal(other.model.countRunning({ namespace: 'alice', name: 'ml' }), 0);
});

test('a pinned kernel does not hide that the active build has none, and is counted while it runs', () => {
  const world = new World();
  Object.assign(world.specs, listKernel('csh.alice.ml.python3.b5', 5));
  world.running = [{ name: 'csh.alice.ml.python3.b5' }];
  const target = { namespace: 'alice', name: 'ml' };
  assert.deepEqual(world.model.kernels(target), []);
  assert.equal(world.model.countRunning(target), 1);
  assert.equal(world.model.findByKernel('csh.alice.ml.python3.b5')?.buildId, 5);
});
